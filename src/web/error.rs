//! Every error as a response: a page for people, or a problem document (RFC 9457) for programs.

use std::sync::Arc;

use rocket::catch;
use rocket::http::{Accept, ContentType, Status};
use rocket::request::Request;
use rocket::response::{self, Responder};
use rocket::serde::json::json;
use rocket_dyn_templates::minijinja::{self, Environment};
use rocket_dyn_templates::{Template, context};
use uuid::Uuid;

use super::cors::any_origin;
use super::templates::log_failure;
use super::visit::Speculative;
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
    /// The request is a prefetch, and prefetches are not counted.
    #[error(transparent)]
    Speculative(#[from] Speculative),
    /// A template failed. The log has the cause.
    #[error("{}", advice(Status::InternalServerError))]
    Template,
    #[error(transparent)]
    UnknownPage(#[from] UnknownPage),
    /// The address has only these methods.
    #[error("{}", advice(Status::MethodNotAllowed))]
    MethodNotAllowed(String),
    #[error("{0}")]
    InvalidQuery(&'static str),
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
            // For the visit of a prefetch any error will do: see [`Speculative`].
            Self::Count(CountError::PageLimit) | Self::Speculative(_) => Status::Forbidden,
            Self::Template => Status::InternalServerError,
            Self::UnknownPage(_) => Status::NotFound,
            Self::MethodNotAllowed(_) => Status::MethodNotAllowed,
            Self::InvalidQuery(_) => Status::UnprocessableEntity,
            Self::Status(status) => *status,
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
        let mut response = respond(request, self.status(), &self.to_string())?;
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

/// The page, or the problem document, for `status`.
fn respond(request: &Request<'_>, status: Status, advice: &str) -> response::Result<'static> {
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
    let mut response = if wants_json(request) {
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
    } else {
        let context = context! { status: status.code, title, advice, reference: &reference };
        Template::render("error", context).respond_to(request)?
    };
    response.set_status(status);
    Ok(response)
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

/// Whether a program asks: the `Accept` header or the address tells.
fn wants_json(request: &Request<'_>) -> bool {
    let preferred = request.accept().map(Accept::preferred);
    preferred.is_some_and(|media| media.is_json() || media.sub() == "problem+json")
        || request.uri().path().starts_with("/api/")
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
