//! What happens to every response: it is timed, and no cache keeps it unless it says otherwise.

use std::sync::Arc;
use std::time::Instant;

use rocket::data::Data;
use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Header;
use rocket::request::Request;
use rocket::response::Response;

use crate::metrics::Metrics;

/// One fairing for everything: each fairing costs every request a boxed future.
pub struct ResponseFairing(pub Arc<Metrics>);

struct StartedAt(Instant);

#[rocket::async_trait]
impl Fairing for ResponseFairing {
    fn info(&self) -> Info {
        Info {
            name: "Responses",
            kind: Kind::Request | Kind::Response,
        }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        request.local_cache(|| StartedAt(Instant::now()));
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        // A page from a cache would be a visit that is not counted.
        if !response.headers().contains("Cache-Control") {
            response.set_header(Header::new("Cache-Control", "no-store"));
        }
        let StartedAt(started) = request.local_cache(|| StartedAt(Instant::now()));
        let route = request.route().map(|route| route.uri.as_str());
        self.0
            .answered(route, response.status().code, started.elapsed());
    }
}
