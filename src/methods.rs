//! What an address answers to a method that it has no route for: which ones it has.

use rocket::Responder;
use rocket::data::Data;
use rocket::http::{Header, Method};
use rocket::request::Request;
use rocket::route::{Handler, Outcome, Route};

use crate::errors::Error;

/// What most addresses understand.
pub const READ: &str = "GET, HEAD, OPTIONS";

/// All that Rocket knows, but for CONNECT, which is for proxies, and HEAD, for which Rocket asks GET's route: a route for it here
/// would come before that.
const METHODS: [Method; 7] = [
    Method::Get,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Trace,
];

/// After every route that is there for a purpose.
const LAST: isize = 100;

/// Which methods the address of a request has.
type AllowedAt = fn(&Request<'_>) -> &'static str;

/// Answers every method of `route` that has no route of its own: OPTIONS with the list of those that are `allowed` at an address, the
/// others with 405 and that list. Rocket alone would say 404 of something that is there.
pub fn others(route: &'static str, allowed: AllowedAt) -> Vec<Route> {
    METHODS
        .map(|method| Route::ranked(LAST, method, route, Others { allowed }))
        .into()
}

/// Lets a script on any site read an answer: nothing here depends on who asks.
pub fn any_origin() -> Header<'static> {
    Header::new("Access-Control-Allow-Origin", "*")
}

#[derive(Clone)]
struct Others {
    allowed: AllowedAt,
}

#[derive(Responder)]
#[response(status = 204)]
struct Allowed(
    (),
    Header<'static>,
    Header<'static>,
    Header<'static>,
    Header<'static>,
);

#[rocket::async_trait]
impl Handler for Others {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let allowed = (self.allowed)(request);
        if request.method() != Method::Options {
            return Outcome::from(request, Err::<(), _>(Error::MethodNotAllowed(allowed)));
        }
        // Also the answer to a browser that asks whether a script may send what it wants to send.
        let answer = Allowed(
            (),
            Header::new("Allow", allowed),
            any_origin(),
            Header::new("Access-Control-Allow-Methods", allowed),
            Header::new("Access-Control-Allow-Headers", "Content-Type"),
        );
        Outcome::from(request, answer)
    }
}
