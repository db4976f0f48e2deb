//! `GET /robots.txt`: crawlers ask for nothing that counts.

use rocket::fairing::AdHoc;
use rocket::http::Header;
use rocket::{Responder, get, routes};

/// `/api/` too: a crawler that runs the scripts of a site would count its pages. See RFC 9309.
const ROBOTS: &str = "\
User-agent: *
Disallow: /$
Disallow: /?
Disallow: /api/
Disallow: /badge/
Disallow: /live
";

#[derive(Responder)]
#[response(content_type = "text/plain; charset=utf-8")]
struct Robots(&'static str, Header<'static>);

#[get("/robots.txt")]
fn robots() -> Robots {
    Robots(ROBOTS, Header::new("Cache-Control", "max-age=3600"))
}

/// Serves `/robots.txt`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Robots", |rocket| async {
        rocket.mount("/", routes![robots])
    })
}
