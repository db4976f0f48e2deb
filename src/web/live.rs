//! `GET /live/<page>`: the total of a page as it changes, as an event stream.
//! `GET /live?page=<page>&page=<page>`: the same of several pages, in one stream.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket::futures::stream::{Stream, StreamExt, select_all};
use rocket::http::Header;
use rocket::http::uri::Origin;
use rocket::request::Request;
use rocket::response::stream::{Event, EventStream, stream};
use rocket::response::{self, Responder};
use rocket::tokio::{pin, select, time};
use rocket::{Shutdown, State, get, routes};
use serde::Serialize;

use super::cors::any_origin;
use super::error::Error;
use super::path;
use crate::counter::{Feed, Total};
use crate::page::{AllowedPages, InvalidPageName, PageName};

/// How long a stream rests after each message about a page: nobody reads more than four a second.
const REST: Duration = Duration::from_millis(250);

/// How often an idle stream sends a comment, so that a broken connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lasts. Then a browser opens the next one, and a client that stopped reading
/// loses its place.
const LIFETIME: Duration = Duration::from_secs(240);

/// How many pages one stream may follow.
const MAX_PAGES: usize = 32;

/// A stream that scripts of any site may read.
struct OpenStream<S>(EventStream<S>);

impl<'r, S: Stream<Item = Event> + Send + 'r> Responder<'r, 'r> for OpenStream<S> {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'r> {
        let mut response = self.0.respond_to(request)?;
        response.set_header(any_origin());
        // nginx would hold back the messages until it has several KiB of them.
        response.set_header(Header::new("X-Accel-Buffering", "no"));
        // The size of most messages. By default each stream would hold 4 KiB.
        response.set_max_chunk_size(64);
        Ok(response)
    }
}

/// A message of a stream that follows several pages.
#[derive(Serialize)]
struct PageTotal<'p> {
    page: &'p str,
    views: i64,
}

/// The counted pages that a query names as `page`, each once.
fn named<'q>(
    names: impl IntoIterator<Item = &'q str>,
    pages: &AllowedPages,
) -> Result<BTreeSet<PageName>, Error> {
    let mut named = BTreeSet::new();
    for name in names {
        named.insert(pages.check(name.parse::<PageName>())?);
        if named.len() > MAX_PAGES {
            return Err(Error::InvalidQuery {
                problem: "too many pages",
                advice: "A stream follows up to 32 pages. Open another stream for the rest of \
                         them.",
            });
        }
    }
    Ok(named)
}

/// The values of `total`, with a rest after each. Values during the rest are skipped, but for the
/// newest.
fn paced(mut total: Total) -> impl Stream<Item = i64> {
    stream! {
        while let Some(views) = total.next().await {
            yield views;
            time::sleep(REST).await;
        }
    }
}

#[get("/live/<page..>")]
fn live(
    page: Result<PageName, InvalidPageName>,
    uri: &Origin<'_>,
    client: Option<IpAddr>,
    pages: &State<AllowedPages>,
    feed: &State<Arc<Feed>>,
    mut end: Shutdown,
) -> Result<OpenStream<impl Stream<Item = Event>>, Error> {
    let page = pages.check(page)?;
    let names = path::names(uri);
    let has_names = page == PageName::home() && !names.is_empty();
    let followed = match has_names {
        true => named(names, pages)?,
        false => BTreeSet::from([page]),
    };
    let (totals, follower) = feed.follow(followed, client)?;
    let totals = totals.into_iter().map(|(page, total)| {
        paced(total)
            .map(move |views| match has_names {
                true => Event::json(&PageTotal {
                    page: page.as_str(),
                    views,
                }),
                false => Event::data(views.to_string()),
            })
            .boxed()
    });
    let mut messages = select_all(totals);
    let stream = EventStream! {
        let _follower = follower;
        let lifetime = time::sleep(LIFETIME);
        pin!(lifetime);
        loop {
            let message = select! {
                message = messages.next() => message,
                () = &mut lifetime => None,
                () = &mut end => None,
            };
            match message {
                Some(message) => yield message,
                None => break,
            }
        }
    };
    Ok(OpenStream(stream.heartbeat(HEARTBEAT)))
}

/// Serves `/live`.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Live", |rocket| async { rocket.mount("/", routes![live]) })
}
