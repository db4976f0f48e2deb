//! The page `/`: a visit counts one view and shows its number.

pub mod cached_page;
pub mod gzip;

use rocket::fairing::AdHoc;
use rocket::http::{ContentType, Header};
use rocket::{Responder, State, get, head, routes};

use self::cached_page::{CachedPages, SingleChunk};
use self::gzip::ReadsGzip;
use super::error::Error;
use super::templates::Templates;
use super::visit::Visit;
use crate::counter::Counter;
use crate::database::Db;
use crate::page::PageName;

/// The page is drawn before the view is counted: if it cannot be drawn, no number is used up.
#[get("/")]
async fn visit(
    visit: Visit<'_>,
    gzip: ReadsGzip,
    counter: &State<Counter>,
    pages: &State<CachedPages>,
    db: &Db,
) -> Result<SingleChunk, Error> {
    visit.refuse_speculative()?;
    let page = pages.current(counter.readiness(), db).await?;
    let count = visit.count(PageName::home(), counter, db).await?;
    Ok(page.with_count(count, &gzip)?)
}

/// What GET would answer, without the body. Rocket would run the handler of GET, which counts.
#[head("/")]
async fn preview(
    visit: Visit<'_>,
    gzip: ReadsGzip,
    counter: &State<Counter>,
    pages: &State<CachedPages>,
    db: &Db,
) -> Result<SingleChunk, Error> {
    if visit.is_speculative() {
        return Err(Error::Speculative);
    }
    let page = pages.current(counter.readiness(), db).await?;
    let count = visit.preview(&PageName::home(), counter, db).await?;
    Ok(page.with_count(count, &gzip)?)
}

/// A file of the page. It is not inlined, so that the content policy can forbid inlined code.
#[derive(Responder)]
struct File(&'static str, ContentType, Header<'static>);

impl File {
    fn new(content: &'static str, kind: ContentType) -> Self {
        Self(content, kind, Header::new("Cache-Control", "max-age=3600"))
    }
}

#[get("/style.css")]
fn style() -> File {
    File::new(include_str!("home/style.css"), ContentType::CSS)
}

#[get("/page.js")]
fn script() -> File {
    File::new(include_str!("home/page.js"), ContentType::JavaScript)
}

#[get("/icon.svg")]
fn icon() -> File {
    File::new(include_str!("home/icon.svg"), ContentType::SVG)
}

/// Serves the page.
pub fn stage(templates: Templates) -> AdHoc {
    AdHoc::on_ignite("Home", |rocket| async {
        rocket
            .manage(CachedPages::new(templates))
            .mount("/", routes![visit, preview, style, script, icon])
    })
}
