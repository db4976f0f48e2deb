//! What happens to every request and response: Caddy's GET is a GET again, the response is timed,
//! and neither caches nor other sites may use it unless it says otherwise.

use std::sync::Arc;
use std::time::Instant;

use rocket::data::Data;
use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::{Header, Method};
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
        // Caddy sends each GET as a POST, because Go's HTTP client repeats a GET when a kept
        // connection breaks. See "Caddy, not nginx" in ARCHITECTURE.md.
        let forwarded = request.headers().get_one("X-Forwarded-Method");
        if request.method() == Method::Post && forwarded == Some("GET") {
            request.set_method(Method::Get);
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        for (name, value) in [
            // A page from a cache would be a visit that is not counted.
            ("Cache-Control", "no-store"),
            // Other sites may show what says so, such as badges.
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ] {
            if !response.headers().contains(name) {
                response.set_header(Header::new(name, value));
            }
        }
        let StartedAt(started) = request.local_cache(|| StartedAt(Instant::now()));
        let route = request.route().map(|route| route.uri.as_str());
        self.0
            .answered(route, response.status().code, started.elapsed());
    }
}
