//! `GET /pages/<page>`: the count of a page and its chart. `GET /pages`: the counted pages with the
//! most views. Both count nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rocket::fairing::AdHoc;
use rocket::response::content::RawHtml;
use rocket::{State, get, routes};
use rocket_dyn_templates::minijinja::{self, Environment, Value, context};

use super::error::Error;
use super::templates::Templates;
use super::{chart, path};
use crate::counter::Counter;
use crate::counter::history::History;
use crate::counter::overview::{self, Order, Overview};
use crate::counter::totals::Count;
use crate::database::Db;
use crate::page::{AllowedPages, InvalidPageName, PageName};

/// What the pages are drawn with.
struct Pages {
    templates: Templates,
    /// Whether visitors may see the overview.
    is_open: bool,
    /// The last overviews, as they were drawn.
    drawn: Mutex<BTreeMap<Order, Drawing>>,
}

/// An overview, and how it looks.
struct Drawing {
    overview: Arc<Overview>,
    html: Arc<str>,
}

#[get("/pages/<page..>")]
async fn page(
    page: Result<PageName, InvalidPageName>,
    allowed: &State<AllowedPages>,
    counter: &State<Counter>,
    pages: &State<Pages>,
    db: &Db,
) -> Result<RawHtml<String>, Error> {
    let page = allowed.check(page)?;
    let history = counter.history(db, &page).await?;
    Ok(RawHtml(draw(&pages.templates.current(), &page, &history)?))
}

/// `page` as the end of a URL's path that may not be empty: `/pages/` is the overview.
fn path(page: &str) -> String {
    match page {
        "/" => "%2F".into(),
        page => path::encoded(page).to_string(),
    }
}

fn draw(
    templates: &Environment<'_>,
    page: &PageName,
    history: &History,
) -> Result<String, minijinja::Error> {
    let count = templates.get_template("count")?.render(context! {
        page => page.as_str(),
        number => history.views,
        today => history.today(),
        is_view => false,
    })?;
    templates.get_template("page")?.render(context! {
        page => page.as_str(),
        path => path(page.as_str()),
        count => Value::from_safe_string(count),
        chart => chart::render(templates, history)?,
    })
}

#[get("/pages?<by>")]
async fn list(
    by: Option<&str>,
    allowed: &State<AllowedPages>,
    counter: &State<Counter>,
    pages: &State<Pages>,
    db: &Db,
) -> Result<RawHtml<Arc<str>>, Error> {
    if !pages.is_open {
        return Err(Error::ClosedOverview);
    }
    let order = match by {
        None | Some("views") => Order::Views,
        Some("today") => Order::Today,
        Some(_) => {
            return Err(Error::InvalidQuery {
                problem: "invalid order",
                advice: "The order of the pages is by=views or by=today.",
            });
        }
    };
    let overview = counter.overview(db, allowed.all(), order).await?;
    // To draw it takes longer than to answer all that a visitor asks for otherwise.
    let mut drawn = pages.drawn.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(last) = drawn.get(&order)
        && Arc::ptr_eq(&last.overview, &overview)
    {
        return Ok(RawHtml(last.html.clone()));
    }
    let html: Arc<str> = draw_overview(&pages.templates.current(), &overview, order)?.into();
    let drawing = Drawing {
        overview,
        html: html.clone(),
    };
    drawn.insert(order, drawing);
    Ok(RawHtml(html))
}

fn draw_overview(
    templates: &Environment<'_>,
    overview: &Overview,
    order: Order,
) -> Result<String, minijinja::Error> {
    let page = |page: &overview::Page| {
        context! {
            name => page.name,
            path => path(&page.name),
            views => page.count.views,
            today => page.count.today,
            heights => chart::heights(&page.days),
            last_days => page.days.iter().sum::<i64>(),
        }
    };
    templates.get_template("overview")?.render(context! {
        first => overview.first.iter().map(page).collect::<Vec<_>>(),
        pages => overview.pages,
        total => Value::from_serialize(overview.total),
        by_today => order == Order::Today,
    })
}

/// Tries the templates with pages that have views, and without any page.
///
/// # Errors
/// A template cannot work.
pub fn check(templates: &Environment<'static>) -> Result<(), minijinja::Error> {
    let history = chart::sample();
    draw(templates, &PageName::home(), &history)?;
    let page = overview::Page {
        name: "readme".into(),
        count: Count {
            views: history.views,
            today: history.today(),
        },
        days: history.days.iter().map(|day| day.views).collect(),
    };
    let overview = Overview {
        total: page.count,
        pages: 2,
        first: vec![page],
    };
    for order in [Order::Views, Order::Today] {
        for overview in [&Overview::default(), &overview] {
            draw_overview(templates, overview, order)?;
        }
    }
    Ok(())
}

/// Serves `/pages`. Visitors may see the overview if it `is_open`.
pub fn stage(templates: Templates, is_open: bool) -> AdHoc {
    AdHoc::on_ignite("Pages", move |rocket| async move {
        rocket
            .manage(Pages {
                templates,
                is_open,
                drawn: Mutex::default(),
            })
            .mount("/", routes![page, list])
    })
}
