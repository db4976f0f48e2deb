//! The engine: takes the views that wait, adds them as one batch, and gives each its number.
//!
//! While one batch commits, the next one gathers. There is no timer and no delay when idle.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::sync::{mpsc, oneshot};
use rocket::tokio::{select, time};
use uuid::Uuid;

use super::announcer::Changes;
use super::error::CountError;
use super::outbox::{Outbox, Rejection};
use super::writer::{Outcome, Writer};
use crate::config::{self, Counting};
use crate::database::{self, ConnectionMonitor, Server};
use crate::metrics::Metrics;
use crate::page::PageName;

/// How many views a transaction may add. A larger batch would delay its first view.
const MAX_BATCH: usize = 2048;

/// While other views wait, a page that was rejected alone waits this many times as long as its
/// attempt took before it is tried again.
const RETRY_FACTOR: u32 = 5;

/// How long it waits at least.
const MIN_RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How long it waits at most, so that its visitors do not wait for nothing.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// After this time without a confirmed batch, rejections are an outage.
const OUTAGE_AFTER: Duration = Duration::from_secs(5);

/// How long the engine does nothing before it checks its connection.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long it takes at least from one line of log about rejected pages to the next.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Receives the number of a view, or why it has none.
type Visitor = oneshot::Sender<Result<i64, CountError>>;

/// A view that waits: its page, and who waits.
pub type Waiting = (PageName, Visitor);

/// Counts over a connection that nothing else uses.
pub struct Engine {
    waiting: mpsc::Receiver<Waiting>,
    outbox: Outbox<Visitor>,
    changes: Changes,
    /// The name of this process in the ledger.
    id: Uuid,
    counting: Counting,
    monitor: ConnectionMonitor,
    metrics: Arc<Metrics>,
    /// When a page that was rejected alone may be tried again.
    retry_at: Instant,
    /// Since when every batch was rejected.
    rejecting_since: Option<Instant>,
    is_stopping: bool,
    rejection_log: Throttle,
    limit_log: Throttle,
}

impl Engine {
    /// An engine for the views that come through `waiting`.
    pub fn new(
        waiting: mpsc::Receiver<Waiting>,
        changes: Changes,
        counting: Counting,
        monitor: ConnectionMonitor,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            waiting,
            outbox: Outbox::new(MAX_BATCH),
            changes,
            id: Uuid::new_v4(),
            counting,
            monitor,
            metrics,
            retry_at: Instant::now(),
            rejecting_since: None,
            is_stopping: false,
            rejection_log: Throttle::default(),
            limit_log: Throttle::default(),
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
            if self.count(writer, server, stop.as_mut()).await.is_ok() {
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
    async fn count(
        &mut self,
        mut writer: Writer,
        server: Server,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), database::Error> {
        // What is left goes first: the database works when its outcome is known.
        while self.send(&mut writer).await? {}
        self.outbox.retry();
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
                () = time::sleep_until(self.retry_at.into()), if self.outbox.postponed() > 0 => {
                    self.outbox.retry();
                }
                // The server may be lost, or no primary any more. Without a visit nothing else
                // would notice, and reads would go on with it.
                () = time::sleep(CHECK_INTERVAL) => {
                    let begun = Instant::now();
                    if let Err(error) = writer.check().await {
                        self.monitor.failed(begun, &error);
                        return Err(error);
                    }
                }
                () = &mut stop, if !self.is_stopping => {
                    self.is_stopping = true;
                    self.give_up_postponed();
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
                self.rejecting_since = None;
                self.changes.add(&outgoing.batch.pages());
                for (visitor, number) in self.outbox.confirmed(totals) {
                    // A visitor who hung up in the meantime is counted and needs no number.
                    let _ = visitor.send(Ok(number));
                }
                Ok(true)
            }
            Ok(Outcome::Rejected(reason)) => {
                self.rejected(begun, reason)?;
                Ok(true)
            }
            Ok(Outcome::NewPages { refused }) => {
                self.refuse(&refused);
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
    ///
    /// # Errors
    /// The database has rejected everything for a while, so that another connection may help.
    fn rejected(&mut self, begun: Instant, reason: database::Error) -> Result<(), database::Error> {
        self.metrics.rejected();
        let Some(Rejection { page, refused }) = self.outbox.rejected() else {
            return Ok(());
        };
        for visitor in refused {
            let _ = visitor.send(Err(CountError::Busy));
        }
        if self.is_stopping {
            self.give_up_postponed();
        }
        let since = self.rejecting_since.get_or_insert(begun);
        if since.elapsed() >= OUTAGE_AFTER && self.outbox.rejects_much() {
            self.monitor.failed(*since, &reason);
            return Err(reason);
        }
        let wait = match self.waiting.is_empty() {
            true => Duration::ZERO,
            false => begun.elapsed() * RETRY_FACTOR,
        };
        self.retry_at = Instant::now() + wait.clamp(MIN_RETRY_INTERVAL, MAX_RETRY_INTERVAL);
        if self.rejection_log.allows() {
            log::warn!("the database does not count {page}, trying again: {reason}");
        }
        Ok(())
    }

    /// Refuses the views whose page is rejected.
    fn give_up_postponed(&mut self) {
        for visitor in self.outbox.take_postponed() {
            let _ = visitor.send(Err(CountError::Stopping));
        }
    }

    /// Refuses the views of those `pages` for which there is no room.
    fn refuse(&mut self, pages: &[String]) {
        for visitor in self.outbox.refuse(pages) {
            let _ = visitor.send(Err(CountError::PageLimit));
        }
        if !pages.is_empty() && self.limit_log.allows() {
            let limit = self.counting.page_limit;
            log::warn!("views of new pages are refused: page_limit is {limit}");
        }
    }
}

/// Lets one line a minute into the log: visitors can cause many.
#[derive(Default)]
struct Throttle(Option<Instant>);

impl Throttle {
    fn allows(&mut self) -> bool {
        let allows = self.0.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if allows {
            self.0 = Some(Instant::now());
        }
        allows
    }
}
