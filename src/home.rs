//! The page `/`: a visit counts one view and shows its number.

use rocket::data::Data;
use rocket::fairing::AdHoc;
use rocket::futures::stream::{self, Stream};
use rocket::http::{ContentType, Header, Method, Status};
use rocket::request::{self, FromRequest, Request};
use rocket::response::stream::ByteStream;
use rocket::route::{BoxFuture, Outcome, Route};
use rocket::{Responder, State, get, head, options, routes};
use rocket_dyn_templates::{Template, context};

use crate::errors::{Answer, Error};
use crate::page::Page;
use crate::views::Views;

/// The name of this replica: its host name, which is the container's id in a cluster.
struct Replica(String);

/// A person's request for a page, as opposed to a browser's guess that there may be one.
struct Visit;

/// A speculative prefetch. It must fail: only then does the real visit ask again, and count.
/// See <https://wicg.github.io/nav-speculation/prefetch.html>.
#[derive(Debug)]
struct Speculative;

impl From<Speculative> for Error {
    fn from(_: Speculative) -> Self {
        Self::Speculative
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Visit {
    type Error = Speculative;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, Speculative> {
        let speculative = ["Sec-Purpose", "Purpose", "X-Moz"]
            .iter()
            .filter_map(|name| request.headers().get_one(name))
            .any(|value| value.contains("prefetch") || value.contains("prerender"));
        if speculative {
            request::Outcome::Error((Status::ServiceUnavailable, Speculative))
        } else {
            request::Outcome::Success(Self)
        }
    }
}

#[get("/")]
async fn visit(
    visit: Result<Visit, Speculative>,
    views: &State<Views>,
    replica: &State<Replica>,
) -> Result<Template, Error> {
    let Visit = visit?;
    let database = views.readiness().server()?;
    let page = Page::home();
    let number = views.count(page.clone()).await?;
    let context =
        context! { page: page.as_str(), number, replica: &replica.0, database: &*database };
    Ok(Template::render("home", context))
}

/// What GET would answer, without its body; Rocket would otherwise run GET's handler, which counts.
#[head("/")]
fn preview() -> (ContentType, ByteStream<impl Stream<Item = &'static [u8]>>) {
    // A stream has no length: a Content-Length here would have to be that of the page.
    (ContentType::HTML, ByteStream(stream::empty()))
}

/// How all pages look. A file, and not in the pages, so that their content policy can forbid everything else.
#[get("/style.css")]
fn style() -> Style {
    Style {
        css: include_str!("style.css"),
        cached: Header::new("Cache-Control", "max-age=3600"),
    }
}

#[derive(Responder)]
#[response(content_type = "css")]
struct Style {
    css: &'static str,
    cached: Header<'static>,
}

/// The methods that `/` understands.
const ALLOWED: &str = "GET, HEAD, OPTIONS";

#[derive(Responder)]
#[response(status = 204)]
struct Methods((), Header<'static>);

#[options("/")]
fn methods() -> Methods {
    Methods((), Header::new("Allow", ALLOWED))
}

#[derive(Responder)]
struct NotAllowed(Answer, Header<'static>);

/// Every other method: Rocket would say 404 of a page that is there.
fn not_allowed<'r>(request: &'r Request<'_>, _: Data<'r>) -> BoxFuture<'r> {
    let answer = NotAllowed(
        Answer::to(Status::MethodNotAllowed),
        Header::new("Allow", ALLOWED),
    );
    Box::pin(async move { Outcome::from(request, answer) })
}

/// Serves the page.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Home", |rocket| async {
        let replica = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        rocket
            .manage(Replica(replica))
            .mount("/", routes![visit, preview, methods, style])
            .mount(
                "/",
                [Method::Post, Method::Put, Method::Patch, Method::Delete]
                    .map(|method| Route::new(method, "/", not_allowed)),
            )
    })
}
