//! The badge: a small picture of a page's count, for other sites. Fetching it counts a view.

mod style;

use rocket::fairing::AdHoc;
use rocket::http::Header;
use rocket::http::uri::Segments;
use rocket::http::uri::fmt::Path;
use rocket::request::FromSegments;
use rocket::{Responder, State, get, head, routes};
use rocket_dyn_templates::minijinja::{self, Environment};
use rocket_dyn_templates::{Template, context};

use self::style::{Query, Style, width};
use super::cors::any_origin;
use super::error::Error;
use super::visit::{Speculative, Visit};
use crate::counter::Counter;
use crate::database::Db;
use crate::number::thousands;
use crate::page::{AllowedPages, InvalidPageName, PageName};

/// The space on both sides of a text, in pixels.
const PADDING: u32 = 10;

/// `<page>.svg`: the page of a badge. The badge of `/` is `.svg`.
struct File(PageName);

impl<'r> FromSegments<'r> for File {
    type Error = InvalidPageName;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, InvalidPageName> {
        let mut segments: Vec<_> = segments.collect();
        let last = segments.last_mut().ok_or(InvalidPageName)?;
        *last = last.strip_suffix(".svg").ok_or(InvalidPageName)?;
        if last.is_empty() {
            segments.pop();
        }
        PageName::from_segments(&segments).map(Self)
    }
}

/// GitHub's image proxy and others keep a picture unless three headers say that they must not.
#[derive(Responder)]
#[response(content_type = "image/svg+xml; charset=utf-8")]
struct Badge<B> {
    picture: B,
    cache: Header<'static>,
    pragma: Header<'static>,
    expires: Header<'static>,
    origin: Header<'static>,
    policy: Header<'static>,
}

impl<B> Badge<B> {
    fn new(picture: B) -> Self {
        let cache = "max-age=0, no-cache, no-store, must-revalidate";
        Self {
            picture,
            cache: Header::new("Cache-Control", cache),
            pragma: Header::new("Pragma", "no-cache"),
            expires: Header::new("Expires", "0"),
            origin: any_origin(),
            policy: Header::new("Cross-Origin-Resource-Policy", "cross-origin"),
        }
    }
}

#[get("/badge/<file..>?<query..>")]
async fn badge(
    file: Option<File>,
    query: Query<'_>,
    visit: Result<Visit, Speculative>,
    pages: &State<AllowedPages>,
    counter: &State<Counter>,
    db: &Db,
) -> Result<Badge<Template>, Error> {
    let page = pages.check(file.map(|File(page)| page))?;
    let style = Style::try_from(query)?;
    let number = if style.counts {
        let Visit = visit?;
        counter.count(page).await?
    } else {
        counter.history(db, &page).await?.views
    };
    let value = thousands(number);
    let value_width = width(&value) + PADDING;
    let label_width = match style.label {
        "" => 0,
        label => width(label) + PADDING,
    };
    Ok(Badge::new(Template::render(
        "badge",
        context! {
            label: style.label,
            label_width,
            label_color: style.label_color.css(),
            label_ink: style.label_color.ink(),
            value,
            value_width,
            color: style.color.css(),
            ink: style.color.ink(),
            width: label_width + value_width,
        },
    )))
}

/// What GET would answer, without the body, and without counting.
#[head("/badge/<file..>")]
fn preview(file: Option<File>, pages: &State<AllowedPages>) -> Result<Badge<()>, Error> {
    pages.check(file.map(|File(page)| page))?;
    Ok(Badge::new(()))
}

/// Tries the template with and without a label.
pub fn check(environment: &Environment<'static>) -> Result<(), minijinja::Error> {
    for (label, label_width) in [("", 0), ("views", 42)] {
        environment
            .get_template("badge")?
            .render(minijinja::context! {
                label, label_width, label_color => "#555555", label_ink => "#fff",
                value => "1", value_width => 17, color => "#007ec6", ink => "#fff",
                width => label_width + 17,
            })?;
    }
    Ok(())
}

/// Serves badges.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Badge", |rocket| async {
        rocket.mount("/", routes![badge, preview])
    })
}
