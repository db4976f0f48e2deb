//! What operators and orchestrators ask a replica. Caddy answers 404 for these addresses.

use std::sync::Arc;

use rocket::fairing::AdHoc;
use rocket::http::{ContentType, Status};
use rocket::serde::json::Json;
use rocket::{State, get, routes};
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::counter::history::Unlisted;
use crate::counter::{Counter, Feed};
use crate::database::Db;
use crate::metrics::{Gauges, Metrics};
use crate::page::AllowedPages;

/// Liveness: the process answers. A restart would not mend a lost database, so this does not ask.
#[get("/healthz")]
fn healthz() -> &'static str {
    "ok\n"
}

/// Readiness: visitors may be sent here.
#[get("/readyz")]
async fn readyz(counter: &State<Counter>, db: &Db) -> (Status, String) {
    match counter.readiness().ping(db).await {
        Ok(()) => (Status::Ok, "ready\n".into()),
        Err(reason) => (Status::ServiceUnavailable, format!("{reason}\n")),
    }
}

/// Startup: the replica was ready once. For an orchestrator that ends whatever is not healthy: it
/// needs to know that a new version works, and a restart would not mend a lost database.
#[get("/startupz")]
fn startupz(counter: &State<Counter>) -> (Status, String) {
    match counter.readiness().since_start() {
        Ok(()) => (Status::Ok, "started\n".into()),
        Err(reason) => (Status::ServiceUnavailable, format!("{reason}\n")),
    }
}

/// Which pages a replica counts.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub struct Pages {
    /// The patterns of the setting `pages`, after `/`.
    pub counted: Vec<String>,
    /// The pages that have lost their setting.
    pub unlisted: Unlisted,
}

#[get("/configz")]
async fn configz(
    counter: &State<Counter>,
    allowed: &State<AllowedPages>,
    db: &Db,
) -> Result<Json<Pages>, Error> {
    let unlisted = counter.unlisted(db, allowed).await?;
    Ok(Json(Pages {
        counted: allowed.patterns(),
        unlisted,
    }))
}

/// Everything that is measured, in the text format of Prometheus.
#[get("/metrics")]
async fn metrics(
    metrics: &State<Arc<Metrics>>,
    counter: &State<Counter>,
    feed: &State<Arc<Feed>>,
    db: &Db,
) -> Result<(ContentType, String), Status> {
    let (queue, queue_limit) = counter.queue();
    let (live_streams, live_streams_limit) = feed.followers();
    let (pool_open, pool_idle, pool_limit) = db.connections();
    let now = Gauges {
        queue,
        queue_limit,
        database_ready: counter.readiness().last_known().is_ok(),
        pool_open,
        pool_idle,
        pool_limit,
        notification_queue: counter.notification_queue_usage(db).await,
        live_streams,
        live_streams_limit,
    };
    let text = metrics.render(&now).map_err(|error| {
        log::error!("the metrics cannot be written: {error}");
        Status::InternalServerError
    })?;
    let format = [("version", "0.0.4"), ("charset", "utf-8")];
    Ok((ContentType::new("text", "plain").with_params(format), text))
}

/// Serves `/healthz`, `/readyz`, `/startupz`, `/configz` and `/metrics`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Operations", |rocket| async {
        rocket.mount("/", routes![healthz, readyz, startupz, configz, metrics])
    })
}
