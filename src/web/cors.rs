//! Which sites may read a response: all of them, because no response depends on who asks.

use rocket::http::Header;

/// Lets scripts of any site read the response.
pub fn any_origin() -> Header<'static> {
    Header::new("Access-Control-Allow-Origin", "*")
}
