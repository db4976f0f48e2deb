//! A person's request, as opposed to a browser's guess that there may be one.

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome, Request};

use crate::errors::Error;

/// A request that counts.
pub struct Visit;

/// A speculative prefetch. It must fail: only then does the real visit ask again, and count.
/// See <https://wicg.github.io/nav-speculation/prefetch.html>.
#[derive(Debug)]
pub struct Speculative;

impl From<Speculative> for Error {
    fn from(_: Speculative) -> Self {
        Self::Speculative
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Visit {
    type Error = Speculative;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Speculative> {
        let speculative = ["Sec-Purpose", "Purpose", "X-Moz"]
            .iter()
            .filter_map(|name| request.headers().get_one(name))
            .any(|value| value.contains("prefetch") || value.contains("prerender"));
        if speculative {
            Outcome::Error((Status::ServiceUnavailable, Speculative))
        } else {
            Outcome::Success(Self)
        }
    }
}
