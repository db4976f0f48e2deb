//! Which methods an address has.
//!
//! Rocket answers 404 when an address has no route for a method. This answers `OPTIONS` with the
//! list of the methods that the address has, and any other method with 405 and that list.

use rocket::http::{Header, Method, Status};
use rocket::request::Request;
use rocket::{Responder, catch};

use super::cors::any_origin;
use super::error::Error;

/// The answer to `OPTIONS`, also for a browser that asks whether a script may send a request.
#[derive(Responder)]
#[response(status = 204)]
pub struct Allowed {
    nothing: (),
    allow: Header<'static>,
    origin: Header<'static>,
    methods: Header<'static>,
    headers: Header<'static>,
}

/// No route has the address and the method of `request`.
#[catch(404)]
pub fn no_route(request: &Request<'_>) -> Result<Allowed, Error> {
    let methods = methods_at(request);
    let (method, allow) = (request.method(), methods.join(", "));
    if method != Method::Options || methods.is_empty() {
        return Err(
            match methods.is_empty() || methods.contains(&method.as_str()) {
                true => Error::Status(Status::NotFound),
                false => Error::MethodNotAllowed(allow),
            },
        );
    }
    Ok(Allowed {
        nothing: (),
        allow: Header::new("Allow", allow.clone()),
        origin: any_origin(),
        methods: Header::new("Access-Control-Allow-Methods", allow),
        headers: Header::new("Access-Control-Allow-Headers", "Content-Type"),
    })
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
        if !path
            .next()
            .is_some_and(|found| segment.starts_with('<') || segment == found)
        {
            return false;
        }
    }
    path.is_empty()
}
