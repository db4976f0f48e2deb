//! The name of a page as the rest of a URL's path, read and written.

use percent_encoding::{CONTROLS, PercentEncode, utf8_percent_encode};
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

/// `page` as the rest of a URL's path. It has no other characters to encode than those that are not
/// ASCII, and `/` is no rest at all.
pub fn encoded(page: &PageName) -> PercentEncode<'_> {
    utf8_percent_encode(page.as_str().trim_start_matches('/'), CONTROLS)
}
