//! Every error as a response: a page for people, a problem document (RFC 9457) for programs, or a
//! picture instead of a badge.

use std::sync::Arc;

use rocket::catch;
use rocket::http::{ContentType, MediaType, Status};
use rocket::request::Request;
use rocket::response::{self, Responder};
use rocket::serde::json::json;
use rocket_dyn_templates::minijinja::{self, Environment};
use rocket_dyn_templates::{Template, context};
use shields::BadgeParams;
use uuid::Uuid;

use super::cors::any_origin;
use super::picture::Picture;
use super::templates::log_failure;
use crate::counter::{CountError, ReadError, TooManyFollowers};
use crate::database::NotReady;
use crate::metrics::Metrics;
use crate::page::UnknownPage;

/// The value of `Retry-After` in seconds: about as long as a database takes to restart.
const RETRY_AFTER: &str = "2";

/// Why a request cannot be answered as asked. The text is what the visitor reads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A view has no number.
    #[error("{}", not_counted(.0))]
    Count(#[from] CountError),
    #[error("{}", advice(Status::ServiceUnavailable))]
    NotReady(NotReady),
    /// The database has more questions to answer than it can.
    #[error("{}", advice(Status::TooManyRequests))]
    Busy,
    /// A browser asks in advance, and will ask again.
    #[error("Nobody looks at this page yet, so nothing was counted. Ask again when it is shown.")]
    Speculative,
    /// A template failed. The log has the cause.
    #[error("{}", advice(Status::InternalServerError))]
    Template,
    /// Visitors may not see which pages have the most views.
    #[error("The owner of this counter shows no list of its pages. ROCKET_OVERVIEW=true shows it.")]
    ClosedOverview,
    #[error(transparent)]
    UnknownPage(#[from] UnknownPage),
    /// The address has only these methods.
    #[error("{}", advice(Status::MethodNotAllowed))]
    MethodNotAllowed(String),
    /// A key or a value in the query cannot be used.
    #[error("{advice}")]
    InvalidQuery {
        /// A few words, for a picture.
        problem: &'static str,
        /// What a person can do.
        advice: &'static str,
    },
    #[error(transparent)]
    TooManyFollowers(#[from] TooManyFollowers),
    /// Rocket answers with this status.
    #[error("{}", advice(*.0))]
    Status(Status),
}

impl From<minijinja::Error> for Error {
    fn from(error: minijinja::Error) -> Self {
        log_failure(&error);
        Self::Template
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotReady(reason) => Self::NotReady(reason),
            ReadError::Busy => Self::Busy,
        }
    }
}

impl Error {
    /// A replica rests after a 503, as far as Caddy can choose. So 503 means only that this replica
    /// cannot count, and no visitor can cause it.
    fn status(&self) -> Status {
        match self {
            Self::Count(CountError::NotReady(_)) | Self::NotReady(_) => Status::ServiceUnavailable,
            Self::Count(CountError::Late | CountError::Stopping) => Status::GatewayTimeout,
            Self::Count(CountError::Busy) | Self::Busy | Self::TooManyFollowers(_) => {
                Status::TooManyRequests
            }
            // For the visit of a prefetch any error will do.
            Self::Count(CountError::PageLimit) | Self::Speculative => Status::Forbidden,
            Self::Template => Status::InternalServerError,
            Self::ClosedOverview | Self::UnknownPage(_) => Status::NotFound,
            Self::MethodNotAllowed(_) => Status::MethodNotAllowed,
            Self::InvalidQuery { .. } => Status::UnprocessableEntity,
            Self::Status(status) => *status,
        }
    }

    /// What a picture has room for.
    fn in_few_words(&self) -> &'static str {
        match (self, self.status().code) {
            (Self::InvalidQuery { problem, .. }, _) => problem,
            (_, 403) => "not counted",
            (_, 404) => "not found",
            (_, 405) => "wrong method",
            (_, 429) => "busy",
            (_, 503 | 504) => "unavailable",
            (_, 400..500) => "bad request",
            _ => "error",
        }
    }
}

/// Logs no cause: the code that found the cause logged it once. In an outage a line for each
/// visitor would drown the log, so refused visits are counted in the metrics.
impl<'r> Responder<'r, 'static> for Error {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        if let (Self::Count(reason), Some(metrics)) =
            (&self, request.rocket().state::<Arc<Metrics>>())
        {
            metrics.refused(&reason.to_string());
        }
        let mut response = respond(request, &self)?;
        // Another attempt may succeed.
        if [429, 503, 504].contains(&response.status().code) {
            response.set_raw_header("Retry-After", RETRY_AFTER);
        }
        if let Self::MethodNotAllowed(allow) = self {
            response.set_raw_header("Allow", allow);
        }
        Ok(response)
    }
}

/// The page, the picture or the problem document for `error`.
fn respond(request: &Request<'_>, error: &Error) -> response::Result<'static> {
    let (status, advice) = (error.status(), error.to_string());
    let title = status.reason_lossy();
    // The page quotes this id, and the log can be searched for it.
    let reference = match status.code {
        500 => Uuid::new_v4().to_string(),
        _ => String::new(),
    };
    if !reference.is_empty() {
        log::error!(
            request_id = reference.as_str(), method = request.method().as_str(),
            path = request.uri().path().as_str(), status = status.code;
            "a request failed with {status}"
        );
    }
    let mut response = match Form::of(request) {
        Form::Problem => {
            let mut problem = json!({
                "type": "about:blank", "title": title, "status": status.code, "detail": advice,
            });
            if !reference.is_empty() {
                problem["instance"] = format!("urn:uuid:{reference}").into();
            }
            let mut response = problem.respond_to(request)?;
            response.set_header(ContentType::new("application", "problem+json"));
            // A script that may send a request may also read why it was refused.
            response.set_header(any_origin());
            response
        }
        Form::Picture { is_embedded } => {
            let badge = BadgeParams {
                label: Some("views"),
                message: Some(error.in_few_words()),
                message_color: Some("lightgrey"),
                ..BadgeParams::default()
            };
            let mut response = Picture::new(&badge).respond_to(request)?;
            if is_embedded {
                response.set_raw_header("X-Error-Status", status.code.to_string());
            }
            response
        }
        Form::Page => {
            let context = context! { status: status.code, title, advice, reference: &reference };
            Template::render("error", context).respond_to(request)?
        }
    };
    response.set_status(status);
    Ok(response)
}

/// The form of an error.
enum Form {
    /// A page, for people.
    Page,
    /// A problem document, for programs.
    Problem,
    /// A badge. If it is embedded, as an `<img>` of a browser or through an image proxy, only a
    /// status of success shows it everywhere. Caddy then sends that, and a header keeps the true
    /// one: here a replica that cannot count has to answer 503, or Caddy would not let it rest.
    Picture { is_embedded: bool },
}

impl Form {
    /// The `Accept` header and the address tell who asks.
    fn of(request: &Request<'_>) -> Self {
        let accept = request.accept();
        let names = |is_kind: fn(&MediaType) -> bool| {
            accept.is_some_and(|accept| accept.media_types().any(is_kind))
        };
        let is_json = |media: &MediaType| media.is_json() || media.sub() == "problem+json";
        let path = request.uri().path();
        if path.starts_with("/api/") || accept.is_some_and(|accept| is_json(accept.preferred())) {
            Self::Problem
        } else if path.starts_with("/badge/") && !names(MediaType::is_html) {
            Self::Picture {
                is_embedded: names(|media| media.top() == "image"),
            }
        } else {
            Self::Page
        }
    }
}

/// Tries the template with and without a reference.
pub fn check(environment: &Environment<'static>) -> Result<(), minijinja::Error> {
    for reference in ["", "0b6ec0d4-9f6c-4a0e-8d5e-0123456789ab"] {
        let advice = advice(Status::InternalServerError);
        let sample = minijinja::context! { status => 500, title => "Error", advice, reference };
        environment.get_template("error")?.render(sample)?;
    }
    Ok(())
}

/// Every status that Rocket itself decides on.
#[catch(default)]
pub fn any_status(status: Status, _: &Request<'_>) -> Error {
    Error::Status(status)
}

/// What a person can do about a view without a number.
fn not_counted(reason: &CountError) -> &'static str {
    match reason {
        CountError::Busy => {
            "More visitors came at once than can be counted. This visit was not counted. Try \
             again in a moment."
        }
        CountError::PageLimit => {
            "This page is new, and the owner of this counter allows no more pages. This visit was \
             not counted."
        }
        CountError::NotReady(_) => advice(Status::ServiceUnavailable),
        CountError::Late | CountError::Stopping => advice(Status::GatewayTimeout),
    }
}

/// What a person can do about a status.
fn advice(status: Status) -> &'static str {
    match status.code {
        400 => "The request could not be understood. Check the address and try again.",
        404 => "There is no page at this address. Nothing was counted.",
        405 => "This address does not understand that method. Nothing was counted.",
        413 | 414 | 431 => "The request was larger than anything this site asks for.",
        429 => "More was asked at once than can be answered. Try again in a moment.",
        422 => "The request was understood, but a value in it is not acceptable.",
        503 => {
            "The counter cannot reach its database just now. Nothing is lost: try again in a \
             moment."
        }
        504 => {
            "The database did not answer in time. This visit may have been counted. Try again in \
             a moment."
        }
        500.. => "Something went wrong on our side. It was logged. Try again in a moment.",
        _ => "The request could not be answered.",
    }
}
