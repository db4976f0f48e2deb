//! A picture for other sites: a badge that no cache keeps, and that every site may show.

use rocket::request::Request;
use rocket::response::{self, Responder, Response};
use shields::{BadgeParams, render_badge_svg};

use super::cors::any_origin;

/// A badge as SVG.
pub struct Picture(String);

impl Picture {
    /// Draws a badge. Colours that are not valid become the usual ones.
    pub fn new(badge: &BadgeParams<'_>) -> Self {
        Self(render_badge_svg(badge))
    }
}

/// GitHub's image proxy and others keep a picture unless three headers say that they must not.
impl<'r> Responder<'r, 'static> for Picture {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let cache = "max-age=0, no-cache, no-store, must-revalidate";
        Response::build_from(self.0.respond_to(request)?)
            .raw_header("Content-Type", "image/svg+xml; charset=utf-8")
            .raw_header("Cache-Control", cache)
            .raw_header("Pragma", "no-cache")
            .raw_header("Expires", "0")
            .header(any_origin())
            .raw_header("Cross-Origin-Resource-Policy", "cross-origin")
            .ok()
    }
}
