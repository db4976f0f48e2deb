//! Whether the program lives and is ready, as orchestrators ask.

use pageviews::database::{Db, NotReady};
use pageviews::health;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::tokio;
use rocket_db_pools::Database;

use crate::support;
use crate::support::engine::{Settings, Views};

#[rocket::async_test]
async fn health_and_readiness() {
    let client = support::client(&support::database().await).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(client.get(path).dispatch().await.status(), Status::Ok);
    }
}

#[rocket::async_test]
async fn without_its_engine_it_is_not_ready() {
    let url = support::database().await;
    let (views, engine) = Views::new(Settings::default());
    let counting = tokio::spawn(engine.run(url.parse().unwrap(), std::future::pending()));
    let config = support::config(&url);
    let rocket = rocket::custom(&config.figment)
        .attach(Db::init())
        .attach(health::stage())
        .manage(views);
    let client = Client::untracked(rocket).await.unwrap();
    let readiness = client.rocket().state::<Views>().unwrap().readiness();
    support::eventually_async("readiness", async || {
        client.get("/readyz").dispatch().await.status() == Status::Ok
    })
    .await;
    // As a panic would.
    counting.abort();
    assert!(counting.await.is_err());
    assert_eq!(readiness.heard(), Err(NotReady::Stopped));
    let answer = client.get("/readyz").dispatch().await;
    assert_eq!(answer.status(), Status::ServiceUnavailable);
    assert_eq!(answer.into_string().await.unwrap(), "stopped\n");
}
