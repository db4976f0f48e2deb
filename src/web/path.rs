//! The names of pages in a URL, read and written.

use percent_encoding::{CONTROLS, PercentEncode, utf8_percent_encode};
use rocket::http::uri::fmt::Path;
use rocket::http::uri::{Origin, Segments};
use rocket::request::FromSegments;

use crate::page::{InvalidPageName, PageName};

impl<'r> FromSegments<'r> for PageName {
    type Error = InvalidPageName;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, InvalidPageName> {
        Self::from_segments(&segments.collect::<Vec<_>>())
    }
}

/// The values of `page` in the query of `uri`, decoded.
pub fn names<'u>(uri: &'u Origin<'_>) -> Vec<&'u str> {
    let query = uri.query().into_iter().flat_map(|query| query.segments());
    query
        .filter_map(|(key, name)| (key == "page").then_some(name))
        .collect()
}

/// `page` as the rest of a URL's path. It has no other characters to encode than those that are not
/// ASCII, and `/` is no rest at all.
pub fn encoded(page: &str) -> PercentEncode<'_> {
    utf8_percent_encode(page.trim_start_matches('/'), CONTROLS)
}
