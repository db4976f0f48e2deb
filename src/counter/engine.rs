//! The engine: takes the views that wait, adds them as one batch, and gives each its number.
//!
//! While one batch commits, the next one gathers. There is no timer and no delay when idle.

use std::fmt::Arguments;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::sync::{mpsc, oneshot};
use rocket::tokio::{select, time};
use uuid::Uuid;

use super::error::CountError;
use super::outbox::Outbox;
use super::writer::{Outcome, Writer};
use crate::config::{self, Counting};
use crate::database::{self, ConnectionMonitor, Server};
use crate::metrics::Metrics;
use crate::page::PageName;

/// How many views a transaction may add. A larger batch would delay its first view.
const MAX_BATCH: usize = 2048;

/// A page that was rejected alone waits this many times as long as the attempt took before it is
/// tried again, so that other pages get most of the time.
const RETRY_FACTOR: u32 = 5;

/// How long it waits at least.
const MIN_RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How long it waits at most, so that its visitors do not wait for nothing.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// How long it takes at least from one warning to the next.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Receives the number of a view, or why it has none.
type Visitor = oneshot::Sender<Result<i64, CountError>>;

/// A view that waits: its page, and who waits.
pub type Waiting = (PageName, Visitor);

/// Counts over a connection that nothing else uses.
pub struct Engine {
    waiting: mpsc::Receiver<Waiting>,
    outbox: Outbox<Visitor>,
    /// The name of this process in the ledger.
    id: Uuid,
    counting: Counting,
    monitor: ConnectionMonitor,
    metrics: Arc<Metrics>,
    /// When a page that was rejected alone may be tried again.
    retry_at: Instant,
    /// When there may be a warning again.
    warn_at: Instant,
}

impl Engine {
    /// An engine for the views that come through `waiting`.
    pub fn new(
        waiting: mpsc::Receiver<Waiting>,
        counting: Counting,
        monitor: ConnectionMonitor,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = Instant::now();
        Self {
            waiting,
            outbox: Outbox::new(MAX_BATCH),
            id: Uuid::new_v4(),
            counting,
            monitor,
            metrics,
            retry_at: now,
            warn_at: now,
        }
    }

    /// Counts in `database` until no more views can come, or `stop` comes while there is no
    /// connection.
    pub async fn run(mut self, database: config::Database, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let (writer, server) = select! {
                connected = self.connect(&database) => connected,
                // The views that wait are dropped, which refuses them.
                () = &mut stop => return,
            };
            if self.count(writer, server).await.is_ok() {
                return;
            }
        }
    }

    /// Tries until there is a connection to a database that is up to date and can be written to.
    async fn connect(&mut self, database: &config::Database) -> (Writer, Server) {
        loop {
            time::sleep(self.monitor.backoff()).await;
            let begun = Instant::now();
            match Writer::open(database, self.id, &self.counting).await {
                Ok(connected) => return connected,
                Err(error) => self.monitor.failed(begun, &error),
            }
        }
    }

    /// Sends batch after batch, until the connection breaks or no more views can come.
    async fn count(&mut self, mut writer: Writer, server: Server) -> Result<(), database::Error> {
        // An unconfirmed batch goes first: the database works when its outcome is known.
        self.send(&mut writer).await?;
        self.monitor.connected(Arc::new(server));
        let mut views = Vec::new();
        loop {
            // After a rejection the views that were taken together go out in several batches.
            while self.send(&mut writer).await? {}
            select! {
                taken = self.waiting.recv_many(&mut views, MAX_BATCH) => {
                    if taken == 0 {
                        return Ok(());
                    }
                    // A visitor who has hung up is not counted.
                    let staying = views.drain(..).filter(|(_, visitor)| !visitor.is_closed());
                    for visitor in self.outbox.accept(staying) {
                        let _ = visitor.send(Err(CountError::Busy));
                    }
                }
                () = time::sleep_until(self.retry_at.into()), if self.outbox.has_postponed() => {
                    self.outbox.retry();
                }
            }
        }
    }

    /// Sends the next batch of the outbox, and gives each view its number when that is committed.
    /// Returns whether there was a batch.
    async fn send(&mut self, writer: &mut Writer) -> Result<bool, database::Error> {
        self.outbox.abandon_if(oneshot::Sender::is_closed);
        let Some(outgoing) = self.outbox.outgoing() else {
            return Ok(false);
        };
        if outgoing.again {
            self.metrics.retried();
        }
        let (again, views) = (outgoing.again, outgoing.batch.len());
        let begun = Instant::now();
        match writer.add(&outgoing).await {
            Ok(Outcome::Committed { totals, before }) => {
                self.metrics.committed(views, begun.elapsed());
                if again {
                    self.metrics.outcome_found(before);
                }
                for (visitor, number) in self.outbox.confirmed(totals) {
                    // A visitor who hung up in the meantime is counted and needs no number.
                    let _ = visitor.send(Ok(number));
                }
                Ok(true)
            }
            Ok(Outcome::Rejected(reason)) => {
                self.rejected(begun, &reason);
                Ok(true)
            }
            Ok(Outcome::NoRoom(pages)) => {
                self.refuse(&pages);
                Ok(true)
            }
            Err(error) => {
                self.outbox.failed();
                self.monitor.failed(begun, &error);
                Err(error)
            }
        }
    }

    /// Handles the rejection of a batch that was sent at `begun`.
    fn rejected(&mut self, begun: Instant, reason: &database::Error) {
        self.metrics.rejected();
        let Some(page) = self.outbox.rejected() else {
            return;
        };
        let wait = begun.elapsed() * RETRY_FACTOR;
        self.retry_at = Instant::now() + wait.clamp(MIN_RETRY_INTERVAL, MAX_RETRY_INTERVAL);
        self.warn(format_args!(
            "the database does not count {page}, trying again: {reason}"
        ));
    }

    /// Refuses the views of new `pages`, for which there is no room.
    fn refuse(&mut self, pages: &[String]) {
        for visitor in self.outbox.refuse(pages) {
            let _ = visitor.send(Err(CountError::PageLimit));
        }
        let limit = self.counting.page_limit;
        self.warn(format_args!(
            "views of new pages are refused: there are {limit} pages, which is page_limit"
        ));
    }

    /// Logs `warning`, unless there was one in the last minute: visitors can cause many.
    fn warn(&mut self, warning: Arguments<'_>) {
        let now = Instant::now();
        if now >= self.warn_at {
            self.warn_at = now + WARN_INTERVAL;
            log::warn!("{warning}");
        }
    }
}
