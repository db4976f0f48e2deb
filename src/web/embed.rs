//! `GET /count.js`: the script with which a page of any site counts its views, and shows its
//! numbers.

use rocket::fairing::AdHoc;
use rocket::http::{ContentType, Header};
use rocket::{Responder, get, routes};

use super::cors::any_origin;

/// A script that every site may load, also one that asks for permission (COEP).
#[derive(Responder)]
struct Script {
    code: &'static str,
    kind: ContentType,
    cache: Header<'static>,
    origin: Header<'static>,
    policy: Header<'static>,
}

#[get("/count.js")]
fn script() -> Script {
    Script {
        code: include_str!("embed/count.js"),
        kind: ContentType::JavaScript,
        cache: Header::new("Cache-Control", "max-age=3600"),
        origin: any_origin(),
        policy: Header::new("Cross-Origin-Resource-Policy", "cross-origin"),
    }
}

/// Serves `/count.js`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Embed", |rocket| async {
        rocket.mount("/", routes![script])
    })
}
