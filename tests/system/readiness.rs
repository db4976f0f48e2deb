//! `/healthz` and `/readyz`, which orchestrators ask.

use std::sync::Arc;

use pageviews::config::{Counting, LiveLimits};
use pageviews::counter::Feed;
use pageviews::database::{self, NotReady};
use pageviews::metrics::Metrics;
use pageviews::page::AllowedPages;
use pageviews::web::operations;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio;

use crate::support;
use crate::support::engine::{Counter, Limits};

#[rocket::async_test]
async fn with_its_database_the_program_is_healthy_and_ready() {
    let client = support::client(&support::database().await).await;
    for path in ["/healthz", "/readyz", "/startupz"] {
        assert_eq!(client.get(path).dispatch().await.status(), Status::Ok);
    }
}

#[rocket::async_test]
async fn without_its_engine_the_program_is_not_ready() {
    let url = support::database().await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let (counter, engine, _) =
        Counter::new(Limits::default(), Counting::default(), metrics.clone());
    let database = support::config(&url).database().unwrap().clone();
    let counting = tokio::spawn(engine.run(database, std::future::pending()));
    let config = support::config(&url);
    let rocket = rocket::custom(config.figment())
        .attach(database::stage(config.database().unwrap()))
        .attach(operations::stage())
        .manage(metrics)
        .manage(AllowedPages::default())
        .manage(Arc::new(Feed::new(LiveLimits::default())))
        .manage(counter);
    let client = Client::untracked(rocket).await.unwrap();
    let readiness = client.rocket().state::<Counter>().unwrap().readiness();
    support::eventually_async("readiness", async || {
        client.get("/readyz").dispatch().await.status() == Status::Ok
    })
    .await;
    // A panic would end the engine like this.
    counting.abort();
    assert!(counting.await.is_err());
    assert_eq!(readiness.last_known(), Err(NotReady::Stopped));
    // Who follows the engine ends with it, although its last word was that all is well.
    assert_eq!(readiness.until_usable().await, None);
    let answer = client.get("/readyz").dispatch().await;
    assert_eq!(answer.status(), Status::ServiceUnavailable);
    assert_eq!(answer.into_string().await.unwrap(), "stopped\n");
}
