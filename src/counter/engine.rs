//! The engine: takes the views that wait, adds them as one batch, and gives each its number.
//!
//! While one batch commits, the next one gathers. There is no timer and no delay when idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::sync::{mpsc, oneshot};
use rocket::tokio::{select, time};
use sqlx::PgConnection;
use uuid::Uuid;

use super::ledger;
use super::outbox::Outbox;
use crate::config;
use crate::database::{self, ConnectionMonitor, Server, within};
use crate::metrics::Metrics;
use crate::page::PageName;

/// How many views a transaction may add. A larger batch would delay its first view.
const MAX_BATCH: usize = 2048;

/// How long a statement may take before its connection is given up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the server lets a statement run. It gives up before the engine does, so a connection
/// that is given up leaves no statement behind that holds a lock.
const SERVER_TIMEOUT: Duration = Duration::from_millis(2500);

/// A view that waits: its page, and what receives its number.
pub type Waiting = (PageName, oneshot::Sender<i64>);

/// Counts over a connection that nothing else uses.
pub struct Engine {
    waiting: mpsc::Receiver<Waiting>,
    outbox: Outbox<oneshot::Sender<i64>>,
    /// The name of this process in the ledger.
    writer: Uuid,
    monitor: ConnectionMonitor,
    metrics: Arc<Metrics>,
}

impl Engine {
    /// An engine for the views that come through `waiting`.
    pub fn new(
        waiting: mpsc::Receiver<Waiting>,
        monitor: ConnectionMonitor,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            waiting,
            outbox: Outbox::default(),
            writer: Uuid::new_v4(),
            monitor,
            metrics,
        }
    }

    /// Counts in `database` until no more views can come, or `stop` comes while there is no
    /// connection.
    pub async fn run(mut self, database: config::Database, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let (connection, server) = select! {
                connected = self.connect(&database) => connected,
                // The views that wait are dropped, which refuses them.
                () = &mut stop => return,
            };
            if self.count(connection, server).await.is_ok() {
                return;
            }
        }
    }

    /// Tries until there is a connection to a database that is up to date and can be written to.
    async fn connect(&mut self, database: &config::Database) -> (PgConnection, Server) {
        loop {
            time::sleep(self.monitor.backoff()).await;
            let begun = Instant::now();
            match self.try_connect(database).await {
                Ok(connected) => return connected,
                Err(error) => self.monitor.failed(begun, &error),
            }
        }
    }

    async fn try_connect(
        &self,
        database: &config::Database,
    ) -> Result<(PgConnection, Server), database::Error> {
        let (mut connection, server) = database::connect(database, SERVER_TIMEOUT).await?;
        within(
            STATEMENT_TIMEOUT,
            ledger::register(&mut connection, self.writer),
        )
        .await?;
        Ok((connection, server))
    }

    /// Sends batch after batch, until one fails or no more views can come.
    async fn count(
        &mut self,
        mut connection: PgConnection,
        server: Server,
    ) -> Result<(), database::Error> {
        // An unconfirmed batch goes first. The database works when it is confirmed, not before.
        self.send(&mut connection).await?;
        self.monitor.connected(Arc::new(server));
        let mut views = Vec::new();
        while self.waiting.recv_many(&mut views, MAX_BATCH).await > 0 {
            // A visitor who has hung up is not counted.
            let staying = views.drain(..).filter(|(_, number)| !number.is_closed());
            self.outbox.fill(staying);
            self.send(&mut connection).await?;
        }
        Ok(())
    }

    /// Sends what is in the outbox, and gives each view its number when that is committed.
    async fn send(&mut self, connection: &mut PgConnection) -> Result<(), database::Error> {
        self.outbox.abandon_if(oneshot::Sender::is_closed);
        let Some(outgoing) = self.outbox.next() else {
            return Ok(());
        };
        if outgoing.again {
            self.metrics.retried();
        }
        let (again, views) = (outgoing.again, outgoing.batch.len());
        let (pages, sizes) = (outgoing.batch.pages(), outgoing.batch.sizes());
        let sent = Instant::now();
        let add = ledger::add(connection, self.writer, outgoing.number, &pages, &sizes);
        match within(STATEMENT_TIMEOUT, add).await {
            Ok(added) => {
                self.metrics.committed(views, sent.elapsed());
                if again {
                    self.metrics.outcome_found(added.committed_before);
                }
                for (visitor, number) in self.outbox.confirmed(added.totals) {
                    // A visitor who hung up in the meantime is counted and needs no number.
                    let _ = visitor.send(number);
                }
                Ok(())
            }
            Err(error) => {
                self.outbox.failed();
                self.monitor.failed(sent, &error);
                Err(error)
            }
        }
    }
}
