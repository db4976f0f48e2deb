//! Which methods an address has.
//!
//! Rocket answers 404 when an address has no route for a method. This answers `OPTIONS` with the
//! list of the methods that the address has, and any other method with 405 and that list.

use rocket::catch;
use rocket::http::{Method, Status};
use rocket::request::Request;
use rocket::response::{self, Responder, Response};

use super::cors::any_origin;
use super::error::Error;

/// The answer to `OPTIONS`, also for a browser that asks whether a script may send a request.
pub struct Allowed(String);

impl<'r> Responder<'r, 'static> for Allowed {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        Response::build()
            .status(Status::NoContent)
            .header(any_origin())
            .raw_header("Access-Control-Allow-Headers", "Content-Type")
            .raw_header("Access-Control-Allow-Methods", self.0.clone())
            .raw_header("Allow", self.0)
            .ok()
    }
}

/// No route has the address and the method of `request`.
#[catch(404)]
pub fn no_route(request: &Request<'_>) -> Result<Allowed, Error> {
    let methods = methods_at(request);
    match request.method() {
        _ if methods.is_empty() => Err(Error::Status(Status::NotFound)),
        Method::Options => Ok(Allowed(methods.join(", "))),
        // The handler itself answered 404.
        method if methods.contains(&method.as_str()) => Err(Error::Status(Status::NotFound)),
        _ => Err(Error::MethodNotAllowed(methods.join(", "))),
    }
}

/// The methods that the address of `request` has, if any. Rocket answers HEAD wherever GET is.
fn methods_at(request: &Request<'_>) -> Vec<&'static str> {
    let mut methods = Vec::new();
    for method in [
        Method::Get,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
    ] {
        let mut routes = request.rocket().routes();
        if routes.any(|route| route.method == method && is_match(route.uri.path(), request)) {
            methods.push(method.as_str());
            methods.extend((method == Method::Get).then_some("HEAD"));
        }
    }
    methods.extend((!methods.is_empty()).then_some("OPTIONS"));
    methods
}

/// Whether a route with the path `pattern`, such as `/badge/<file..>`, has the address.
fn is_match(pattern: &str, request: &Request<'_>) -> bool {
    let mut path = request.uri().path().segments();
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        if segment.ends_with("..>") {
            return true;
        }
        match path.next() {
            Some(found) if segment.starts_with('<') || segment == found => {}
            _ => return false,
        }
    }
    path.is_empty()
}
