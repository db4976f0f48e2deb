//! Totals as they change: `GET /live` streams those of a page to whoever looks at it, whichever replica counted.
//!
//! Replicas hear of each other's batches from PostgreSQL, which tells whoever listens at each commit. Nothing is queued for a
//! stream: it finds the newest total when it is ready for one, so a slow reader misses numbers, and holds none back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocket::fairing::AdHoc;
use rocket::futures::Stream;
use rocket::request::Request;
use rocket::response::stream::{Event, EventStream};
use rocket::response::{self, Responder};
use rocket::tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use rocket::tokio::{select, spawn, time};
use rocket::{Shutdown, State, get, routes};
use rocket_db_pools::Database;
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::database::Db;
use crate::errors::Error;
use crate::methods;
use crate::page::{Page, Pages};
use crate::views::{history, ledger};

/// How many streams may be open. One more is refused.
pub const MOST_STREAMS: usize = 4_000;

/// How long a stream rests after each message: four a second are more than anybody reads.
const REST: Duration = Duration::from_millis(250);

/// How often an idle stream says that it is there, so that a connection that broke is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lasts. The reader comes back by itself; one that stopped reading does not.
const LIFETIME: Duration = Duration::from_secs(240);

/// How often the totals are read all the same, for a connection may break without a word; and how often it is seen whether anybody
/// still looks.
const REREAD: Duration = Duration::from_secs(15);

/// How long the database may take to answer, and how long to leave it alone when it did not.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pages that somebody looks at, and their totals as far as they are known.
pub struct Live {
    totals: Mutex<BTreeMap<Page, watch::Sender<Option<i64>>>>,
    /// A page was added.
    added: Notify,
    streams: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            totals: Mutex::default(),
            added: Notify::new(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        }
    }
}

impl Live {
    /// How many streams are open.
    pub fn streams(&self) -> usize {
        MOST_STREAMS - self.streams.available_permits()
    }

    /// The total of `page`, now or as soon as it is known, and whenever it changes. `None` if there are too many streams.
    fn follow(&self, page: Page) -> Option<(watch::Receiver<Option<i64>>, OwnedSemaphorePermit)> {
        let permit = self.streams.clone().try_acquire_owned().ok()?;
        let mut totals = self.totals();
        totals.retain(|_, total| !total.is_closed());
        let total = totals.entry(page).or_insert_with(|| {
            self.added.notify_one();
            watch::Sender::new(None)
        });
        Some((total.subscribe(), permit))
    }

    /// The pages that somebody looks at.
    fn pages(&self) -> Vec<Page> {
        let mut totals = self.totals();
        totals.retain(|_, total| !total.is_closed());
        totals.keys().cloned().collect()
    }

    fn set(&self, page: &str, views: i64) {
        if let Ok(page) = page.parse::<Page>()
            && let Some(total) = self.totals().get(&page)
        {
            total.send_if_modified(|known| known.replace(views) != Some(views));
        }
    }

    fn totals(&self) -> MutexGuard<'_, BTreeMap<Page, watch::Sender<Option<i64>>>> {
        // Whoever panicked with the lock left a map that is whole.
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the totals up to date for as long as somebody looks. While nobody does, nobody listens, and the database has
    /// nobody to tell.
    async fn run(&self, pool: &PgPool) -> Infallible {
        loop {
            if self.pages().is_empty() {
                self.added.notified().await;
            }
            // Whoever counts has said that the database is away; here it is only tried again.
            if let Err(problem) = self.listen(pool).await {
                log::debug!("live totals pause: {problem}");
                time::sleep(PATIENCE).await;
            }
        }
    }

    /// Returns when nobody looks any more.
    async fn listen(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.eager_reconnect(false);
        listener.listen(ledger::CHANNEL).await?;
        let lock = sqlx::query("SELECT pg_advisory_lock_shared($1)").bind(ledger::LISTENING);
        time::timeout(PATIENCE, lock.execute(&mut listener))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        loop {
            let pages = self.pages();
            if pages.is_empty() {
                return Ok(());
            }
            let names: Vec<_> = pages.iter().map(Page::as_str).collect();
            let mut read: BTreeMap<_, _> =
                time::timeout(PATIENCE, history::totals(&mut listener, &names))
                    .await
                    .unwrap_or(Err(sqlx::Error::PoolTimedOut))?
                    .into_iter()
                    .collect();
            for name in names {
                self.set(name, read.remove(name).unwrap_or(0));
            }
            // Not begun anew with each message: on a busy page there would be no end to them.
            let reread = time::sleep(REREAD);
            rocket::tokio::pin!(reread);
            loop {
                select! {
                    heard = listener.try_recv() => {
                        let heard = heard?.ok_or(sqlx::Error::WorkerCrashed)?;
                        if let Some((views, page)) = ledger::told(heard.payload()) {
                            self.set(page, views);
                        }
                    }
                    () = self.added.notified() => break,
                    () = &mut reread => break,
                }
            }
        }
    }
}

/// A stream that scripts of any site may read.
struct Followed<S>(EventStream<S>);

impl<'r, S: Stream<Item = Event> + Send + 'r> Responder<'r, 'r> for Followed<S> {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'r> {
        let mut response = self.0.respond_to(request)?;
        response.set_header(methods::any_origin());
        // The largest message, instead of 4 KiB for each stream.
        response.set_max_chunk_size(64);
        Ok(response)
    }
}

#[get("/live/<page..>")]
fn live(
    page: Option<Page>,
    pages: &State<Pages>,
    live: &State<Arc<Live>>,
    end: Shutdown,
) -> Result<Followed<impl Stream<Item = Event>>, Error> {
    let page = pages.counted(page)?;
    let (mut total, permit) = live.follow(page).ok_or(Error::TooManyStreams)?;
    let stream = EventStream! {
        let _permit = permit;
        let mut end = end;
        let lifetime = time::sleep(LIFETIME);
        rocket::tokio::pin!(lifetime);
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
    Ok(Followed(stream.heartbeat(HEARTBEAT)))
}

/// Serves `/live`.
pub fn stage() -> AdHoc {
    AdHoc::try_on_ignite("Live", |rocket| async {
        let Some(db) = Db::fetch(&rocket) else {
            return Err(rocket);
        };
        // Not from the pool: it is kept for as long as somebody looks.
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            // Closed when nobody looks any more, and the lock with it.
            .after_release(|_, _| Box::pin(async { Ok(false) }))
            .connect_lazy_with(db.connect_options().as_ref().clone());
        let live = Arc::new(Live::default());
        Ok(rocket
            .manage(live.clone())
            .mount("/", routes![live])
            .mount("/", methods::others("/live/<page..>", |_| methods::READ))
            .attach(AdHoc::on_liftoff("Listener", |_| {
                Box::pin(async move {
                    spawn(async move { live.run(&own).await });
                })
            })))
    })
}
