//! Whether the process lives and is ready, for orchestrators; and the probe that containers run.

use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket::http::Status;
use rocket::{State, get, routes};

use crate::database::Db;
use crate::views::Views;

/// How long [`probe`] waits for an answer: longer than any answer of `/readyz` may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Liveness: the process answers. Says nothing about the database, which a restart would not mend.
#[get("/healthz")]
fn healthz() -> &'static str {
    "ok\n"
}

/// Readiness: visitors may be sent here.
#[get("/readyz")]
async fn readyz(views: &State<Views>, db: &Db) -> (Status, String) {
    match views.readiness().check(db).await {
        Ok(_) => (Status::Ok, "ready\n".into()),
        Err(reason) => (Status::ServiceUnavailable, format!("{}\n", reason.word())),
    }
}

/// Serves `/healthz` and `/readyz`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Health", |rocket| async {
        rocket.mount("/", routes![healthz, readyz])
    })
}

/// Asks `url` once and returns what it says: `pageviews health`, for images without curl.
///
/// # Errors
/// One line: no answer in time, or a status other than 200.
pub fn probe(url: &str) -> Result<String, String> {
    let answer = minreq::get(url)
        .with_timeout(PROBE_TIMEOUT.as_secs())
        .send()
        .map_err(|e| format!("{url} does not answer: {e}"))?;
    let body = answer.as_str().unwrap_or_default().trim();
    match answer.status_code {
        200 => Ok(body.into()),
        // The reason too: of a connection that was closed without a word, minreq says so there.
        status => Err(format!(
            "{url} answers {status} {}: {body}",
            answer.reason_phrase
        )),
    }
}
