//! A request of a person, as opposed to a browser's guess that there may be one.

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome, Request};

/// A request that counts.
pub struct Visit;

/// A speculative prefetch. It has to fail: only then does the browser ask again for the real
/// visit. See <https://wicg.github.io/nav-speculation/prefetch.html>.
#[derive(Debug, thiserror::Error)]
#[error("Visits are counted here, so the page waits for the visit.")]
pub struct Speculative;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Visit {
    type Error = Speculative;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Speculative> {
        let speculative = ["Sec-Purpose", "Purpose", "X-Moz"]
            .iter()
            .filter_map(|name| request.headers().get_one(name))
            .any(|value| value.contains("prefetch") || value.contains("prerender"));
        if speculative {
            Outcome::Error((Status::Forbidden, Speculative))
        } else {
            Outcome::Success(Self)
        }
    }
}
