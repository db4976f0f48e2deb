//! What people are told when something is wrong: one page, or one JSON object (RFC 9457), for every status.

use rocket::fairing::AdHoc;
use rocket::http::{Accept, ContentType, Status};
use rocket::request::Request;
use rocket::response::{self, Responder};
use rocket::serde::json::json;
use rocket::{catch, catchers};
use rocket_dyn_templates::{Template, context};
use uuid::Uuid;

use crate::database::NotReady;
use crate::methods;
use crate::metrics;
use crate::page::NotCounted;
use crate::views::Uncounted;

/// Seconds after which to try again: about as many as a database takes to restart.
const RETRY_AFTER: &str = "2";

/// Why a request could not be answered as asked.
#[derive(Debug)]
pub enum Error {
    /// A view has no number.
    Uncounted(Uncounted),
    /// What is asked for cannot be read.
    NotReady(NotReady),
    /// A browser asked for a page that nobody looks at yet: see [`crate::visit`].
    Speculative,
    /// A template failed; the log says why.
    NotDrawn,
    /// No page that is counted has this name.
    NotCounted,
    /// The address has only these methods.
    MethodNotAllowed(&'static str),
    /// A value in the query is not acceptable, for this reason.
    Unacceptable(&'static str),
    /// Too many look at changing totals already.
    TooManyStreams,
}

impl From<NotCounted> for Error {
    fn from(_: NotCounted) -> Self {
        Self::NotCounted
    }
}

impl From<Uncounted> for Error {
    fn from(cause: Uncounted) -> Self {
        Self::Uncounted(cause)
    }
}

impl From<NotReady> for Error {
    fn from(cause: NotReady) -> Self {
        Self::NotReady(cause)
    }
}

/// No cause is logged here: whoever found it did, once; each visitor of an outage would drown the log. They are counted.
impl<'r> Responder<'r, 'static> for Error {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        if let Self::Uncounted(reason) = self {
            metrics::REFUSED.with_label_values(&[reason.word()]).inc();
        }
        let unavailable = Answer::to(Status::ServiceUnavailable);
        let answer = match self {
            Self::Uncounted(Uncounted::Busy) => Answer {
                advice: "More visitors came at once than can be counted. This visit was not; try again in a moment.",
                ..unavailable
            },
            Self::Uncounted(_) | Self::NotReady(_) => unavailable,
            Self::Speculative => Answer {
                advice: "Visits are counted here, so the page waits for the visit.",
                retry_after: None,
                ..unavailable
            },
            Self::NotDrawn => Answer::to(Status::InternalServerError),
            Self::NotCounted => Answer {
                advice: "No page of this name is counted here. Nothing was counted.",
                ..Answer::to(Status::NotFound)
            },
            Self::MethodNotAllowed(allowed) => {
                let mut response = Answer::to(Status::MethodNotAllowed).respond_to(request)?;
                response.set_raw_header("Allow", allowed);
                return Ok(response);
            }
            Self::Unacceptable(advice) => Answer {
                advice,
                ..Answer::to(Status::UnprocessableEntity)
            },
            Self::TooManyStreams => Answer {
                advice: "Too many look at this already. The number is right without; reload to see it.",
                ..unavailable
            },
        };
        answer.respond_to(request)
    }
}

/// The page, or the JSON object, that a status stands for.
pub struct Answer {
    status: Status,
    advice: &'static str,
    retry_after: Option<&'static str>,
}

impl Answer {
    /// The answer that fits `status`.
    pub fn to(status: Status) -> Self {
        let retry_after = (status == Status::ServiceUnavailable).then_some(RETRY_AFTER);
        Self {
            status,
            advice: advice(status),
            retry_after,
        }
    }
}

impl<'r> Responder<'r, 'static> for Answer {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let Self {
            status,
            advice,
            retry_after,
        } = self;
        let title = status.reason_lossy();
        let id = request_id(request).map(|id| id.to_string());
        // What a page quotes can be found in the log.
        let logged = status.code >= 500 && status != Status::ServiceUnavailable;
        let reference = id.as_deref().filter(|_| logged).unwrap_or_default();
        if logged {
            log::error!(
                request_id = reference, method = request.method().as_str(), path = request.uri().path().as_str(),
                status = status.code;
                "a request failed with {status}"
            );
        }
        let mut response = if wants_json(request) {
            let mut problem = json!({ "type": "about:blank", "title": title, "status": status.code, "detail": advice });
            if let Some(id) = &id {
                problem["instance"] = format!("urn:uuid:{id}").into();
            }
            let mut response = problem.respond_to(request)?;
            response.set_header(ContentType::new("application", "problem+json"));
            // What a script may ask for, it may also be refused.
            response.set_header(methods::any_origin());
            response
        } else {
            let context = context! { status: status.code, title, advice, reference };
            Template::render("error", context).respond_to(request)?
        };
        if let Some(id) = id {
            response.set_raw_header("X-Request-Id", id);
        }
        if let Some(seconds) = retry_after {
            response.set_raw_header("Retry-After", seconds);
        }
        response.set_status(status);
        Ok(response)
    }
}

/// The id that Caddy gave the request. Whatever else stands in its place is nothing that we quote.
fn request_id(request: &Request<'_>) -> Option<Uuid> {
    request.headers().get_one("X-Request-Id")?.parse().ok()
}

/// Whether a program asks: by what it accepts, or where.
fn wants_json(request: &Request<'_>) -> bool {
    let preferred = request.accept().map(Accept::preferred);
    preferred.is_some_and(|media| media.is_json() || media.sub() == "problem+json")
        || request.uri().path().starts_with("/api/")
}

#[catch(default)]
fn answer(status: Status, _: &Request<'_>) -> Answer {
    Answer::to(status)
}

/// What a person can do about it.
fn advice(status: Status) -> &'static str {
    match status.code {
        400 => "The request could not be understood. Check the address and try again.",
        404 => "There is no page at this address. Nothing was counted.",
        405 => "This address does not understand that method. Nothing was counted.",
        413 | 414 | 431 => "The request was larger than anything this site asks for.",
        422 => "The request was understood, but a value in it is not acceptable.",
        503 => {
            "The counter cannot reach its database just now. Nothing is lost: try again in a moment."
        }
        500.. => "Something went wrong on our side. It has been logged; try again in a moment.",
        _ => "The request could not be answered.",
    }
}

/// Answers errors.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Errors", |rocket| async {
        rocket.register("/", catchers![answer])
    })
}
