//! A picture for other sites: a badge that no cache keeps, and that every site may show.

use std::io::Cursor;

use rocket::request::Request;
use rocket::response::{self, Responder, Response};
use shields::{BadgeParams, RenderOptions, render_badge_svg_into};

use super::cors::any_origin;

/// A badge as SVG.
pub struct Picture(String);

impl Picture {
    /// Draws a badge. Colours that are not valid become the usual ones.
    pub fn new(badge: &BadgeParams<'_>) -> Self {
        // With room for a badge of the usual size.
        let mut svg = String::with_capacity(1536);
        render_badge_svg_into(badge, &RenderOptions::default(), &mut svg);
        Self(svg)
    }
}

/// GitHub's image proxy and others keep a picture unless three headers say that they must not.
impl<'r> Responder<'r, 'static> for Picture {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let size = self.0.len();
        let cache = "max-age=0, no-cache, no-store, must-revalidate";
        Response::build()
            .raw_header("Content-Type", "image/svg+xml; charset=utf-8")
            .raw_header("Cache-Control", cache)
            .raw_header("Pragma", "no-cache")
            .raw_header("Expires", "0")
            .header(any_origin())
            // One byte more than there is, so that the end is found in the same read.
            .sized_body(size, Cursor::new(self.0))
            .max_chunk_size(size + 1)
            .raw_header("Cross-Origin-Resource-Policy", "cross-origin")
            .ok()
    }
}
