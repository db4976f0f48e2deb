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
use super::visit::Visit;
use crate::counter::Counter;
use crate::database::Db;
use crate::page::{AllowedPages, PageName, UnknownPage};

/// `<page>.svg`: the page of a badge. The badge of `/` is `.svg`.
struct File(PageName);

impl<'r> FromSegments<'r> for File {
    type Error = UnknownPage;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, UnknownPage> {
        let mut segments: Vec<_> = segments.collect();
        let last = segments.last_mut().ok_or(UnknownPage::NotCounted)?;
        *last = last.strip_suffix(".svg").ok_or(UnknownPage::NotCounted)?;
        if segments == [""] {
            segments.clear();
        }
        Ok(Self(PageName::from_segments(&segments)?))
    }
}

#[get("/badge/<file..>")]
async fn badge(
    file: Result<File, UnknownPage>,
    uri: &Origin<'_>,
    visit: Visit<'_>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Picture, Error> {
    let page = pages.check(file.map(|File(page)| page))?;
    let query = Query::parse(uri)?;
    let number = match query.counts {
        true => visit.count(page, counter, db).await?.number(),
        // Boxed, so that the future of a view need not have room for it.
        false => Box::pin(counter.views(db, &page)).await?,
    };
    Ok(query.draw(number))
}

/// What GET would answer, without the body, and without counting.
#[head("/badge/<file..>")]
async fn preview(
    file: Result<File, UnknownPage>,
    uri: &Origin<'_>,
    visit: Visit<'_>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Picture, Error> {
    let page = pages.check(file.map(|File(page)| page))?;
    let query = Query::parse(uri)?;
    let number = match query.counts {
        true => visit.preview(&page, counter, db).await?.number(),
        false => counter.views(db, &page).await?,
    };
    Ok(query.draw(number))
}

/// Serves badges.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Badge", |rocket| async {
        rocket.mount("/", routes![badge, preview])
    })
}
