//! What people are told when something is wrong: one page, or one JSON object, for every status.

use rocket::fairing::AdHoc;
use rocket::http::{Accept, Status};
use rocket::request::Request;
use rocket::response::{self, Responder};
use rocket::serde::json::json;
use rocket::{catch, catchers};
use rocket_dyn_templates::{Template, context};

use crate::database::NotReady;
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
        let wants_json = request
            .accept()
            .map(Accept::preferred)
            .is_some_and(|media| media.is_json());
        let mut response = if wants_json {
            json!({ "status": status.code, "title": title, "detail": advice })
                .respond_to(request)?
        } else {
            Template::render(
                "error",
                context! { status: status.code, title, advice, reference: "" },
            )
            .respond_to(request)?
        };
        if let Some(seconds) = retry_after {
            response.set_raw_header("Retry-After", seconds);
        }
        response.set_status(status);
        Ok(response)
    }
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
