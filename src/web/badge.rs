//! The badge: a small picture of a page's count, for other sites. Fetching it counts a view.

mod query;

use rocket::fairing::AdHoc;
use rocket::http::uri::fmt::Path;
use rocket::http::uri::{Origin, Segments};
use rocket::request::FromSegments;
use rocket::{State, get, head, routes};

use self::query::Query;
use super::error::Error;
use super::picture::Picture;
use super::visit::{Speculative, Visit};
use crate::counter::Counter;
use crate::database::Db;
use crate::page::{AllowedPages, InvalidPageName, PageName};

/// `<page>.svg`: the page of a badge. The badge of `/` is `.svg`.
struct File(PageName);

impl<'r> FromSegments<'r> for File {
    type Error = InvalidPageName;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, InvalidPageName> {
        let mut segments: Vec<_> = segments.collect();
        let last = segments.last_mut().ok_or(InvalidPageName)?;
        *last = last.strip_suffix(".svg").ok_or(InvalidPageName)?;
        if segments == [""] {
            segments.clear();
        }
        PageName::from_segments(&segments).map(Self)
    }
}

/// An image is never asked for again. So for a page that nobody looks at yet the badge is drawn,
/// but not counted.
#[get("/badge/<file..>")]
async fn badge(
    file: Option<File>,
    uri: &Origin<'_>,
    visit: Result<Visit, Speculative>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Picture, Error> {
    let page = pages.check(file.map(|File(page)| page))?;
    let query = Query::parse(uri)?;
    let number = if query.counts && visit.is_ok() {
        counter.count(page).await?
    } else {
        // Boxed, so that the future of a view need not have room for it.
        Box::pin(counter.history(db, &page)).await?.views
    };
    Ok(query.draw(number))
}

/// What GET would answer, without the body, and without counting.
#[head("/badge/<file..>")]
async fn preview(
    file: Option<File>,
    uri: &Origin<'_>,
    visit: Result<Visit, Speculative>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Picture, Error> {
    let page = pages.check(file.map(|File(page)| page))?;
    let query = Query::parse(uri)?;
    let views = counter.history(db, &page).await?.views;
    Ok(query.draw(views + i64::from(query.counts && visit.is_ok())))
}

/// Serves badges.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Badge", |rocket| async {
        rocket.mount("/", routes![badge, preview])
    })
}
