//! `GET /live/<page>`: the total of a page as it changes, as an event stream.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket::futures::Stream;
use rocket::http::Header;
use rocket::request::Request;
use rocket::response::stream::{Event, EventStream};
use rocket::response::{self, Responder};
use rocket::tokio::{pin, select, time};
use rocket::{Shutdown, State, get, routes};

use super::cors::any_origin;
use super::error::Error;
use crate::counter::Feed;
use crate::page::{AllowedPages, PageName};

/// How long a stream rests after each message: nobody reads more than four a second.
const REST: Duration = Duration::from_millis(250);

/// How often an idle stream sends a comment, so that a broken connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lasts. Then a browser opens the next one, and a client that stopped reading
/// loses its place.
const LIFETIME: Duration = Duration::from_secs(240);

/// A stream that scripts of any site may read.
struct OpenStream<S>(EventStream<S>);

impl<'r, S: Stream<Item = Event> + Send + 'r> Responder<'r, 'r> for OpenStream<S> {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'r> {
        let mut response = self.0.respond_to(request)?;
        response.set_header(any_origin());
        // nginx would hold back the messages until it has several KiB of them.
        response.set_header(Header::new("X-Accel-Buffering", "no"));
        // The size of the largest message. By default each stream would hold 4 KiB.
        response.set_max_chunk_size(64);
        Ok(response)
    }
}

#[get("/live/<page..>")]
fn live(
    page: Option<PageName>,
    client: Option<IpAddr>,
    pages: &State<AllowedPages>,
    feed: &State<Arc<Feed>>,
    mut end: Shutdown,
) -> Result<OpenStream<impl Stream<Item = Event>>, Error> {
    let page = pages.check(page)?;
    let (mut total, follower) = feed.follow(page, client)?;
    let stream = EventStream! {
        let _follower = follower;
        let lifetime = time::sleep(LIFETIME);
        pin!(lifetime);
        loop {
            let views = *total.borrow_and_update();
            if let Some(views) = views {
                yield Event::data(views.to_string());
                time::sleep(REST).await;
            }
            select! {
                changed = total.changed() => if changed.is_err() { break },
                () = &mut lifetime => break,
                () = &mut end => break,
            }
        }
    };
    Ok(OpenStream(stream.heartbeat(HEARTBEAT)))
}

/// Serves `/live`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Live", |rocket| async { rocket.mount("/", routes![live]) })
}
