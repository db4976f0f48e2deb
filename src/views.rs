//! The model: views of pages, counted exactly and fast.
//!
//! Views that wait are added together, in one transaction for all of them; each gets its own number when that is
//! committed. While one batch commits, the next gathers: no timer, no delay when idle. See "The engine" in ARCHITECTURE.md.

pub mod batch;
pub mod history;
pub mod ledger;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use figment::Figment;
use rocket::fairing::AdHoc;
use rocket::tokio::sync::{mpsc, oneshot};
use rocket::tokio::{select, spawn, time};
use rocket_db_pools::Database;
use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use self::batch::Batch;
use self::ledger::Added;
use crate::config;
use crate::database::{self, Db, NotReady, Outage, Readiness, Server};
use crate::metrics;
use crate::page::Page;

/// How many views one transaction may add: more would keep the first of them waiting for its answer.
pub(crate) const LARGEST_BATCH: usize = 4096;

/// How long a statement may take before its connection is given up. The server is told to give up before:
/// see [`database::connect`].
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// `views` in the configuration.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds that a view may wait for its commit, such as while the database restarts.
    pub deadline: NonZeroU16,
    /// How many views may wait. One more is refused at once.
    pub queue: NonZeroU16,
}

impl Default for Settings {
    fn default() -> Self {
        const {
            Self {
                deadline: NonZeroU16::new(6).unwrap(),
                queue: NonZeroU16::new(10_000).unwrap(),
            }
        }
    }
}

impl Settings {
    /// What `figment` says.
    ///
    /// # Errors
    /// A value is wrong, or unknown.
    pub fn of(figment: &Figment) -> Result<Self, config::Error> {
        // `focus`, for `extract_inner` names a wrong key the wrong way round.
        figment
            .focus("views")
            .extract()
            .map_err(|e| config::Error::of(&e, "views."))
    }
}

/// Why a view has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// Too many views wait already. It was not counted.
    Busy,
    /// The database cannot be used. It was not counted.
    NotReady(NotReady),
    /// The database did not confirm in time. It may have been counted.
    Late,
    /// The program ends. It may have been counted, if the database was lost as well.
    Stopping,
}

impl Uncounted {
    /// The reason in a word, as the metrics call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NotReady(_) => "not_ready",
            Self::Late => "late",
            Self::Stopping => "stopping",
        }
    }
}

/// Whoever waits for the number of a view.
type Waiting = oneshot::Sender<i64>;

/// Counts views.
pub struct Views {
    queue: mpsc::Sender<(Page, Waiting)>,
    readiness: Readiness,
    deadline: Duration,
}

impl Views {
    /// A counter, and the engine that has to run for it to count.
    pub fn new(settings: Settings) -> (Self, Engine) {
        let (queue, waiting) = mpsc::channel(settings.queue.get().into());
        let (outage, readiness) = database::readiness();
        let deadline = Duration::from_secs(settings.deadline.get().into());
        (
            Self {
                queue,
                readiness,
                deadline,
            },
            Engine { waiting, outage },
        )
    }

    /// Whether views can be counted.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// How many views wait for the next batch, and how many may.
    pub fn queue(&self) -> (usize, usize) {
        let limit = self.queue.max_capacity();
        (limit - self.queue.capacity(), limit)
    }

    /// Counts one view of `page` and returns its number: 1 for the first, no number twice. When this returns a number, it is
    /// durable. Dropped before the view was sent to the database, it is not counted.
    ///
    /// # Errors
    /// Why there is no number, after the configured deadline at the latest.
    pub async fn count(&self, page: Page) -> Result<i64, Uncounted> {
        self.readiness.usable().await.map_err(Uncounted::NotReady)?;
        let (waiting, number) = oneshot::channel();
        self.queue
            .try_send((page, waiting))
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => Uncounted::Busy,
                mpsc::error::TrySendError::Closed(_) => Uncounted::Stopping,
            })?;
        match time::timeout(self.deadline, number).await {
            Ok(Ok(number)) => Ok(number),
            Ok(Err(_)) => Err(Uncounted::Stopping),
            Err(_) => Err(Uncounted::Late),
        }
    }
}

/// Adds what waits to the database, batch after batch, over a connection that nothing else uses.
pub struct Engine {
    waiting: mpsc::Receiver<(Page, Waiting)>,
    outage: Outage,
}

impl Engine {
    /// Runs until its [`Views`] is dropped, or `stop` comes while the database is away.
    pub async fn run(mut self, options: PgConnectOptions, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let writer = Uuid::new_v4();
        let (mut number, mut unconfirmed) = (0, None);
        loop {
            let (mut connection, server) = select! {
                connected = self.connect(&options, writer) => connected,
                // Whoever waits is refused, by dropping what it waits for.
                () = &mut stop => return,
            };
            let mut regained = Some(server);
            unconfirmed = loop {
                let again = unconfirmed.is_some();
                let batch = match unconfirmed.take() {
                    // Sent before, and lost on the way there or back: under its old number it is safe to send again.
                    Some(batch) => batch,
                    None => {
                        if let Some(server) = regained.take() {
                            self.outage.ends(Arc::new(server));
                        }
                        let Some(batch) = self.next_batch().await else {
                            return;
                        };
                        number += 1;
                        batch
                    }
                };
                // Everybody has given up. If the batch is still on its way, it may arrive: once, under its number.
                if batch.waiting().all(Waiting::is_closed) {
                    continue;
                }
                if again {
                    metrics::RETRIES.inc();
                }
                let sent = Instant::now();
                match add(&mut connection, writer, number, &batch).await {
                    // Who has hung up meanwhile is counted, and has no use for the number.
                    Ok(added) => {
                        metrics::committed(batch.len(), sent.elapsed());
                        if again {
                            metrics::OUTCOMES
                                .with_label_values(&[added.outcome()])
                                .inc();
                        }
                        batch.numbered(added.totals).for_each(|(waiting, number)| {
                            let _ = waiting.send(number);
                        });
                    }
                    Err(problem) => {
                        self.outage.begins(sent, &problem);
                        break Some(batch);
                    }
                }
            };
        }
    }

    /// Takes all that waits, up to the largest batch, less those that hung up; waits for the first.
    /// `None` when no more can come.
    async fn next_batch(&mut self) -> Option<Batch<Waiting>> {
        let mut views = Vec::new();
        match self.waiting.recv_many(&mut views, LARGEST_BATCH).await {
            0 => None,
            _ => Some(
                views
                    .into_iter()
                    .filter(|(_, waiting)| !waiting.is_closed())
                    .collect(),
            ),
        }
    }

    /// Tries until there is a connection to a database that is up to date and lets this writer write.
    async fn connect(
        &mut self,
        options: &PgConnectOptions,
        writer: Uuid,
    ) -> (PgConnection, Server) {
        loop {
            time::sleep(self.outage.pause()).await;
            let begun = Instant::now();
            match connect(options, writer).await {
                Ok(connected) => return connected,
                Err(problem) => self.outage.begins(begun, &problem),
            }
        }
    }
}

async fn connect(
    options: &PgConnectOptions,
    writer: Uuid,
) -> Result<(PgConnection, Server), sqlx::Error> {
    let (mut connection, server) = database::connect(options).await?;
    let registered = time::timeout(ANSWER_WITHIN, ledger::register(&mut connection, writer)).await;
    registered.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    Ok((connection, server))
}

async fn add(
    connection: &mut PgConnection,
    writer: Uuid,
    number: i64,
    batch: &Batch<Waiting>,
) -> Result<Added, sqlx::Error> {
    let (pages, sizes) = (batch.pages(), batch.sizes());
    time::timeout(
        ANSWER_WITHIN,
        ledger::add(connection, writer, number, &pages, &sizes),
    )
    .await
    .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Manages the counter and runs its engine. Needs [`Db::init`] attached before.
pub fn stage() -> AdHoc {
    AdHoc::try_on_ignite("Views", |rocket| async {
        let options = Db::fetch(&rocket).map(|db| db.connect_options().as_ref().clone());
        let (Ok(settings), Some(options)) = (Settings::of(rocket.figment()), options) else {
            return Err(rocket);
        };
        let (views, engine) = Views::new(settings);
        Ok(rocket
            .manage(views)
            .attach(AdHoc::on_liftoff("Engine", |rocket| {
                Box::pin(async move {
                    spawn(engine.run(options, rocket.shutdown()));
                })
            })))
    })
}
