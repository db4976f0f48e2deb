//! Counts for programs, as JSON. `api/openapi.json` describes it.

use rocket::fairing::AdHoc;
use rocket::http::uri::Origin;
use rocket::http::{ContentType, Header};
use rocket::serde::json::Json;
use rocket::{Responder, State, get, post, routes};
use serde::Serialize;

use super::cors::any_origin;
use super::error::Error;
use super::path;
use super::visit::{self, Visit};
use crate::counter::history::Day;
use crate::counter::totals::Count;
use crate::counter::{Counter, ReadError};
use crate::database::Db;
use crate::page::{AllowedPages, InvalidPageName, PageName, Selected};

/// How many pages and patterns a request may read.
const MAX_PAGES: usize = 100;

/// A response that scripts of any site may read.
#[derive(Responder)]
struct Open<T>(T, Header<'static>);

impl<T> Open<T> {
    fn new(content: T) -> Self {
        Self(content, any_origin())
    }
}

#[derive(Serialize)]
struct Page {
    page: String,
    views: i64,
    today: i64,
    days: Vec<Day>,
    time_zone: String,
}

/// The count of a page, or of all pages of a pattern together.
#[derive(Serialize)]
struct Total {
    page: String,
    #[serde(flatten)]
    count: Count,
}

/// In the order of the request. What is not counted here is null, so that one wrong name does not
/// cost a site all its counts.
#[derive(Serialize)]
struct Totals {
    pages: Vec<Option<Total>>,
}

#[derive(Responder)]
enum Counts {
    Page(Json<Page>),
    Totals(Json<Totals>),
}

/// One page with its history, or the totals of those that the query names.
#[get("/api/pages/<page..>")]
async fn read(
    page: Result<PageName, InvalidPageName>,
    uri: &Origin<'_>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Open<Counts>, Error> {
    let page = pages.check(page)?;
    let names = path::names(uri);
    if page == PageName::home() && !names.is_empty() {
        if names.len() > MAX_PAGES {
            return Err(Error::InvalidQuery {
                problem: "too many pages",
                advice: "A request reads up to 100 pages. Send another one for the rest of them.",
            });
        }
        let totals = counter.in_time(totals(&names, pages, counter, db)).await?;
        return Ok(Open::new(Counts::Totals(Json(totals))));
    }
    let history = counter.history(db, &page).await?;
    Ok(Open::new(Counts::Page(Json(Page {
        page: page.to_string(),
        views: history.views,
        today: history.today(),
        days: history.days,
        time_zone: history.time_zone,
    }))))
}

async fn totals(
    names: &[&str],
    pages: &AllowedPages,
    counter: &Counter,
    db: &Db,
) -> Result<Totals, ReadError> {
    let selected: Vec<_> = names.iter().map(|name| pages.select(name)).collect();
    let one_by_one = selected.iter().filter_map(|selected| match selected {
        Some(Selected::Page(page)) => Some(page.as_str()),
        _ => None,
    });
    let counts = counter.counts(db, &one_by_one.collect::<Vec<_>>()).await?;
    let mut totals = Vec::with_capacity(selected.len());
    for selected in selected {
        totals.push(match selected {
            None => None,
            Some(Selected::Page(page)) => Some(Total {
                count: counts.get(page.as_str()).copied().unwrap_or_default(),
                page: page.to_string(),
            }),
            Some(Selected::Pattern { pattern, pages }) => Some(Total {
                count: counter.pattern_count(db, &pattern, pages).await?,
                page: pattern,
            }),
        });
    }
    Ok(Totals { pages: totals })
}

#[derive(Serialize)]
struct View {
    page: String,
    number: i64,
}

/// The views of a page to which this request added none.
#[derive(Serialize)]
struct Views {
    page: String,
    views: i64,
}

#[derive(Responder)]
enum Counted {
    #[response(status = 201)]
    View(Open<Json<View>>, Header<'static>),
    #[response(status = 200)]
    Views(Open<Json<Views>>),
}

#[post("/api/pages/<page..>")]
async fn count(
    page: Result<PageName, InvalidPageName>,
    visit: Visit<'_>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Counted, Error> {
    let name = pages.check(page)?;
    visit.refuse_speculative()?;
    let page = name.to_string();
    Ok(match visit.count(name, counter, db).await? {
        visit::Count::Views(views) => Counted::Views(Open::new(Json(Views { page, views }))),
        visit::Count::View(number) => {
            let location = format!("/api/pages/{}", path::encoded(&page));
            let view = Open::new(Json(View { page, number }));
            Counted::View(view, Header::new("Location", location))
        }
    })
}

#[get("/api/openapi.json")]
fn description() -> Open<(ContentType, &'static str)> {
    Open::new((ContentType::JSON, include_str!("api/openapi.json")))
}

/// Serves `/api/`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("API", |rocket| async {
        rocket.mount("/", routes![read, count, description])
    })
}
