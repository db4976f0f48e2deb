//! The counter: what a view is, and how it gets its number. The only layer with SQL about views.
//!
//! [`Counter::count`] puts a view into a queue and waits for its number. The [`engine`] adds all
//! waiting views in one transaction. See "The engine" in ARCHITECTURE.md.

mod announcer;
mod batch;
mod engine;
mod error;
mod feed;
mod followers;
pub mod history;
pub mod ledger;
pub mod moves;
pub mod outbox;
pub mod overview;
mod reads;
pub mod settings;
pub mod totals;
mod warnings;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rocket::Shutdown;
use rocket::fairing::AdHoc;
use rocket::tokio::sync::{mpsc, oneshot};
use rocket::tokio::{spawn, time};

pub use self::announcer::Announcer;
pub use self::engine::Engine;
use self::engine::Waiting;
pub use self::error::{CountError, ReadError};
pub use self::feed::{Feed, Total};
pub use self::followers::TooManyFollowers;
use self::overview::{Order, Overview};
use self::totals::Count;
use crate::config::{self, Config, Counting, Limits};
use crate::database::{self, ConnectionMonitor, Db, Pool, Readiness};
use crate::metrics::Metrics;
use crate::page::PageName;
use crate::recent::Recent;

/// How old the count of a pattern may be. To add up 100,000 pages takes the database some 50 ms,
/// which visitors must not be able to ask for again and again.
const PATTERN_MAX_AGE: Duration = Duration::from_secs(1);

/// How old the overview may be. To read it takes the database 0.2 s for 100,000 pages.
const OVERVIEW_MAX_AGE: Duration = Duration::from_secs(5);

/// How much sooner than its deadline a view is refused while the database is away. So whoever comes
/// after a visitor who waited in vain does not wait too.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// How long the database may take to tell what is only a metric.
const GAUGE_TIMEOUT: Duration = Duration::from_millis(500);

/// Counts views.
pub struct Counter {
    queue: mpsc::Sender<Waiting>,
    readiness: Readiness,
    deadline: Duration,
    failed: Arc<AtomicBool>,
    patterns: Recent<String, Count>,
    overviews: Recent<Order, Arc<Overview>>,
}

impl Counter {
    /// A counter, the engine that has to run for it, and what tells other replicas of its counts.
    pub fn new(
        limits: Limits,
        counting: Counting,
        metrics: Arc<Metrics>,
    ) -> (Self, Engine, Announcer) {
        let (changes, announcer) = announcer::announcer();
        let (queue, waiting) = mpsc::channel(limits.queue.get().into());
        let deadline = Duration::from_secs(limits.deadline.get().into());
        let (monitor, readiness) = ConnectionMonitor::new(deadline.saturating_sub(WAIT_MARGIN));
        (
            Self {
                queue,
                readiness,
                deadline,
                failed: Arc::default(),
                patterns: Recent::new(PATTERN_MAX_AGE),
                overviews: Recent::new(OVERVIEW_MAX_AGE),
            },
            Engine::new(waiting, changes, counting, monitor, metrics),
            announcer,
        )
    }

    /// Whether views can be counted.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Whether the engine has failed for good, so that only a restart of the program may help.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// How many views wait for the next batch, and how many may.
    pub fn queue(&self) -> (usize, usize) {
        let limit = self.queue.max_capacity();
        (limit - self.queue.capacity(), limit)
    }

    /// Counts one view of `page` and returns its number: 1 for the first, no number twice.
    ///
    /// The number is durable when this returns it. If the future is dropped before its batch was
    /// sent to the database, the view is not counted.
    ///
    /// # Errors
    /// Why there is no number, after the configured deadline at the latest.
    pub async fn count(&self, page: PageName) -> Result<i64, CountError> {
        self.readiness.wait().await?;
        let (sender, number) = oneshot::channel();
        self.queue
            .try_send((page, sender))
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => CountError::Busy,
                mpsc::error::TrySendError::Closed(_) => CountError::Stopping,
            })?;
        match time::timeout(self.deadline, number).await {
            Ok(Ok(counted)) => counted,
            Ok(Err(_)) => Err(CountError::Stopping),
            Err(_) => Err(CountError::Late),
        }
    }

    /// How full the server's queue of notifications is, from 0 to 1, asked over a connection of
    /// `pool`. `None` if the database does not answer soon.
    pub async fn notification_queue_usage(&self, pool: &Pool) -> Option<f64> {
        self.readiness.last_known().ok()?;
        let usage = database::query(pool, GAUGE_TIMEOUT, ledger::notification_queue_usage);
        usage.await.ok()
    }
}

/// Manages the [`Counter`], the [`Feed`] and the counted pages, and runs what they need.
pub fn stage(config: &Config, database: &config::Database, metrics: Arc<Metrics>) -> AdHoc {
    let (limits, live, counting) = (config.limits, config.live, config.counting.clone());
    let (pages, database) = (config.pages.clone(), database.clone());
    AdHoc::on_ignite("Counter", move |rocket| async move {
        let (counter, engine, announcer) = Counter::new(limits, counting, metrics);
        let (feed, readiness) = (Arc::new(Feed::new(live)), counter.readiness.clone());
        let (follow, allowed, failed) = (feed.clone(), pages.clone(), counter.failed.clone());
        let start = AdHoc::on_liftoff("Engine", move |rocket| {
            Box::pin(async move {
                let counting = engine.run(database.clone(), rocket.shutdown());
                spawn(end_if_it_fails(counting, failed, rocket.shutdown()));
                spawn(warnings::warn_of_counts(
                    readiness.clone(),
                    database.clone(),
                    allowed,
                ));
                if let Some(db) = rocket.state::<Db>() {
                    let pool = (**db).clone();
                    spawn(database::follow(pool.clone(), readiness.clone()));
                    spawn(async move { announcer.run(&pool).await });
                }
                spawn(async move { follow.run(&database, &readiness).await });
            })
        });
        rocket
            .manage(counter)
            .manage(feed)
            .manage(pages)
            .attach(start)
    })
}

/// Ends the program if `counting` panics, which the log has told: without its engine the program
/// could only refuse views, and the next start may work.
async fn end_if_it_fails(
    counting: impl Future<Output = ()> + Send + 'static,
    failed: Arc<AtomicBool>,
    program: Shutdown,
) {
    if spawn(counting).await.is_err() {
        failed.store(true, Ordering::Relaxed);
        program.notify();
    }
}
