//! Counts for programs, as JSON. `api/openapi.json` describes it.

use rocket::fairing::AdHoc;
use rocket::http::{ContentType, Header};
use rocket::serde::json::Json;
use rocket::{Responder, State, get, post, routes};
use serde::Serialize;

use super::cors::any_origin;
use super::error::Error;
use super::path::encoded;
use super::visit::{Speculative, Visit};
use crate::counter::Counter;
use crate::counter::history::Day;
use crate::database::Db;
use crate::page::{AllowedPages, PageName};

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

#[get("/api/pages/<page..>")]
async fn read(
    page: Option<PageName>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Open<Json<Page>>, Error> {
    let page = pages.check(page)?;
    let history = counter.history(db, &page).await?;
    Ok(Open::new(Json(Page {
        page: page.to_string(),
        views: history.views,
        today: history.today(),
        days: history.days,
        time_zone: history.time_zone,
    })))
}

#[derive(Serialize)]
struct View {
    page: String,
    number: i64,
}

#[derive(Responder)]
#[response(status = 201)]
struct Created(Open<Json<View>>, Header<'static>);

#[post("/api/pages/<page..>")]
async fn count(
    page: Option<PageName>,
    visit: Result<Visit, Speculative>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
) -> Result<Created, Error> {
    let page = pages.check(page)?;
    let Visit = visit?;
    let number = counter.count(page.clone()).await?;
    let location = format!("/api/pages/{}", encoded(&page));
    let view = Open::new(Json(View {
        page: page.to_string(),
        number,
    }));
    Ok(Created(view, Header::new("Location", location)))
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
