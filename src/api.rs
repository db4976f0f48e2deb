//! Counts for programs, as JSON. `api/openapi.json` describes it.

use std::convert::Infallible;
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket::http::uri::Segments;
use rocket::http::uri::fmt::Path;
use rocket::http::{ContentType, Header};
use rocket::request::{FromSegments, Request};
use rocket::serde::Serialize;
use rocket::serde::json::Json;
use rocket::tokio::time;
use rocket::{Responder, State, get, post, routes};

use crate::database::{Db, NotReady};
use crate::errors::Error;
use crate::methods;
use crate::page::{Page, Pages};
use crate::views::Views;
use crate::views::history::{self, Day, History};

/// How long a history may take to read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the history of `page`.
///
/// # Errors
/// The database cannot be used, or did not answer in time.
pub async fn history(views: &Views, db: &Db, page: &Page) -> Result<History, Error> {
    views.readiness().usable().await?;
    match time::timeout(PATIENCE, history::history(&***db, page)).await {
        Ok(Ok(history)) => Ok(history),
        Ok(Err(problem)) => Err(NotReady::because_of(&problem).into()),
        Err(_) => Err(NotReady::Slow.into()),
    }
}

/// Any origin may read it.
#[derive(Responder)]
struct Open<T>(T, Header<'static>);

impl<T> Open<T> {
    fn new(content: T) -> Self {
        Self(content, methods::any_origin())
    }
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Counted {
    page: String,
    views: i64,
    today: i64,
    days: Vec<Day>,
}

/// The methods of `/api/pages/<page>/views`.
const OF_VIEWS: &str = "POST, OPTIONS";

/// The methods of the same where a page has that very name: with `blog/*`, `blog/a/views` is a page, and the views of `blog/a`.
const OF_BOTH: &str = "GET, HEAD, POST, OPTIONS";

/// What a path may name: a page, or the views of one, to which one may be added.
struct Named {
    page: Option<Page>,
    views_of: Option<Page>,
}

impl<'r> FromSegments<'r> for Named {
    type Error = Infallible;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, Infallible> {
        let segments: Vec<_> = segments.collect();
        let views_of = match segments.split_last() {
            Some((&"views", page)) => Page::of_segments(page).ok(),
            _ => None,
        };
        Ok(Self {
            page: Page::of_segments(&segments).ok(),
            views_of,
        })
    }
}

impl Named {
    fn page(self, pages: &Pages) -> Result<Page, Error> {
        pages
            .counted(self.page)
            .map_err(|not_counted| match pages.counted(self.views_of) {
                Ok(_) => Error::MethodNotAllowed(OF_VIEWS),
                Err(_) => not_counted.into(),
            })
    }

    fn views_of(self, pages: &Pages) -> Result<Page, Error> {
        pages
            .counted(self.views_of)
            .map_err(|not_counted| match pages.counted(self.page) {
                Ok(_) => Error::MethodNotAllowed(methods::READ),
                Err(_) => not_counted.into(),
            })
    }
}

fn allowed(request: &Request<'_>) -> &'static str {
    let Ok(named) = request.segments::<Named>(2..);
    let Some(pages) = request.rocket().state::<Pages>() else {
        return methods::READ;
    };
    let counted = |page| pages.counted(page).is_ok();
    match (counted(named.page), counted(named.views_of)) {
        (true, true) => OF_BOTH,
        (true, false) => methods::READ,
        (false, true) => OF_VIEWS,
        // Nothing is there. A browser asks before it lets a script ask, and the script is to hear it from the answer.
        (false, false) if request.uri().path().ends_with("/views") => OF_VIEWS,
        (false, false) => methods::READ,
    }
}

#[get("/api/pages/<named..>")]
async fn read(
    named: Named,
    pages: &State<Pages>,
    views: &State<Views>,
    db: &Db,
) -> Result<Open<Json<Counted>>, Error> {
    let page = named.page(pages)?;
    let history = history(views, db, &page).await?;
    Ok(Open::new(Json(Counted {
        page: page.to_string(),
        views: history.views,
        today: history.today(),
        days: history.days,
    })))
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct View {
    page: String,
    number: i64,
}

#[derive(Responder)]
#[response(status = 201)]
struct Created(Open<Json<View>>, Header<'static>);

#[post("/api/pages/<named..>")]
async fn count(named: Named, pages: &State<Pages>, views: &State<Views>) -> Result<Created, Error> {
    let page = named.views_of(pages)?;
    let number = views.count(page.clone()).await?;
    let location = format!("/api/pages/{}", page.as_str().trim_start_matches('/'));
    let view = View {
        page: page.to_string(),
        number,
    };
    Ok(Created(
        Open::new(Json(view)),
        Header::new("Location", location),
    ))
}

#[get("/api/openapi.json")]
fn description() -> Open<(ContentType, &'static str)> {
    Open::new((ContentType::JSON, include_str!("api/openapi.json")))
}

/// Serves `/api/`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("API", |rocket| async {
        rocket
            .mount("/", routes![read, count, description])
            .mount("/", methods::others("/api/pages/<path..>", allowed))
            .mount("/", methods::others("/api/openapi.json", |_| methods::READ))
    })
}
