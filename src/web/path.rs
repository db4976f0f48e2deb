//! The name of a page as the rest of a URL's path.

use rocket::http::uri::Segments;
use rocket::http::uri::fmt::Path;
use rocket::request::FromSegments;

use crate::page::{InvalidPageName, PageName};

impl<'r> FromSegments<'r> for PageName {
    type Error = InvalidPageName;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, InvalidPageName> {
        Self::from_segments(&segments.collect::<Vec<_>>())
    }
}
