//! A request of a person, as opposed to a browser's guess that there may be one.

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome, Request};

/// A request that counts.
pub struct Visit;

/// A request for a page that may be visited, which a browser prefetches or prerenders.
///
/// To visit a page that was refused so, the browser asks again. A script asks again when it sees
/// that the page is shown. But an image is never asked for again: it has to be drawn. See
/// <https://wicg.github.io/nav-speculation/prefetch.html>.
#[derive(Debug, thiserror::Error)]
#[error("Nobody looks at this page yet, so nothing was counted. Ask again when it is shown.")]
pub struct Speculative;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Visit {
    type Error = Speculative;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Speculative> {
        let is_speculative = |value: &str| {
            ["prefetch", "prerender", "preview"]
                .iter()
                .any(|word| value.contains(word))
        };
        let speculative = ["Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"]
            .iter()
            .filter_map(|name| request.headers().get_one(name))
            .any(is_speculative);
        if speculative {
            Outcome::Error((Status::Forbidden, Speculative))
        } else {
            Outcome::Success(Self)
        }
    }
}
