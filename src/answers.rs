//! What every answer goes through: it is timed, and is not cached unless it says so.

use std::time::Instant;

use rocket::data::Data;
use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Header;
use rocket::request::Request;
use rocket::response::Response;

use crate::metrics;

/// One fairing for all of it: each costs every request a boxed future, two when made of closures.
struct Answers;

/// When a request came.
struct Begun(Instant);

#[rocket::async_trait]
impl Fairing for Answers {
    fn info(&self) -> Info {
        Info {
            name: "Answers",
            kind: Kind::Request | Kind::Response,
        }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        request.local_cache(|| Begun(Instant::now()));
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        // A page from a cache is a visit that is not counted. Few answers know better.
        if !response.headers().contains("Cache-Control") {
            response.set_header(Header::new("Cache-Control", "no-store"));
        }
        let Begun(begun) = request.local_cache(|| Begun(Instant::now()));
        let route = request.route().map(|route| route.uri.as_str());
        metrics::answered(route, response.status(), begun.elapsed());
    }
}

/// Times all answers, and keeps them out of caches.
pub fn stage() -> impl Fairing {
    Answers
}
