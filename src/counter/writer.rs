//! A writer: a process that counts, over a connection of its own. It bounds what the ledger does.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use uuid::Uuid;

use super::outbox::Outgoing;
use super::{ledger, settings};
use crate::config::{self, Counting, TimeZone};
use crate::database::{self, Server, within};

/// How long a statement may take before its connection is given up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the server lets a statement run. It gives up before the writer does, so a connection
/// that is given up leaves no statement behind that holds a lock.
const SERVER_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long a batch waits for a lock at least while other pages wait for the page that is locked
/// to be found. A batch of 2,048 pages is halved 11 times, which then takes less than 3 s.
const MIN_LOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// How many times as long as the last batch took it waits: another replica that commits is no
/// reason to blame a page.
const LOCK_TIMEOUT_FACTOR: u32 = 4;

/// How many names of pages a writer keeps in memory, so that it need not ask whether they exist.
const MAX_KNOWN: usize = 100_000;

/// What became of a batch.
pub enum Outcome {
    /// It is committed.
    Committed {
        /// The totals that it made, in the order of its pages.
        totals: Vec<i64>,
        /// Whether an earlier copy was found committed.
        before: bool,
    },
    /// No copy of it was added, and none can be added any more.
    Rejected(database::Error),
    /// It was not sent, because these new pages would be more than there may be.
    NoRoom(Vec<String>),
}

/// The connection over which a process counts.
pub struct Writer {
    connection: PgConnection,
    /// The name of the process in the ledger.
    id: Uuid,
    /// How long the connection waits for a lock.
    lock_timeout: Duration,
    /// How long the last batch took that was committed.
    last_duration: Duration,
    page_limit: i64,
    /// Pages that exist.
    known: HashSet<String>,
}

impl Writer {
    /// Connects, and makes `id` known to the ledger. This writes, because a database that takes no
    /// writes cannot count.
    ///
    /// # Errors
    /// The database cannot be reached or used.
    pub async fn open(
        database: &config::Database,
        id: Uuid,
        counting: &Counting,
    ) -> Result<(Self, Server), database::Error> {
        let (mut connection, server) = database::connect(database, SERVER_TIMEOUT).await?;
        within(STATEMENT_TIMEOUT, ledger::settle(&mut connection, id, 0)).await?;
        let count_pages = settings::count_pages(&mut connection);
        match within(STATEMENT_TIMEOUT, count_pages).await {
            // Somebody holds the lock for long. The number of pages need not be exact to count.
            Err(error) if error.is_rejection() => {}
            counted => counted?,
        }
        if let Some(zone) = &counting.time_zone {
            set_time_zone(&mut connection, zone).await?;
        }
        let writer = Self {
            connection,
            id,
            lock_timeout: database::LOCK_TIMEOUT,
            last_duration: Duration::ZERO,
            page_limit: counting.page_limit.get().into(),
            known: HashSet::new(),
        };
        Ok((writer, server))
    }

    /// Adds a batch. It is safe to send a batch again under its number, until its outcome is known.
    ///
    /// # Errors
    /// The connection is of no use any more. The batch may have been added.
    pub async fn add<W>(&mut self, outgoing: &Outgoing<'_, W>) -> Result<Outcome, database::Error> {
        self.wait_for_locks(match outgoing.seeking {
            true => (self.last_duration * LOCK_TIMEOUT_FACTOR)
                .clamp(MIN_LOCK_TIMEOUT, database::LOCK_TIMEOUT),
            false => database::LOCK_TIMEOUT,
        })
        .await?;
        let (pages, sizes) = (outgoing.batch.pages(), outgoing.batch.sizes());
        if !outgoing.again {
            match self.admit(&pages).await {
                Ok(refused) if refused.is_empty() => {}
                Ok(refused) => return Ok(Outcome::NoRoom(refused)),
                Err(error) if error.is_rejection() => return Ok(Outcome::Rejected(error)),
                Err(error) => return Err(error),
            }
        }
        let connection = &mut self.connection;
        let begun = Instant::now();
        let add = ledger::add(connection, self.id, outgoing.number, &pages, &sizes);
        let rejection = match within(STATEMENT_TIMEOUT, add).await {
            Ok(totals) => {
                self.last_duration = begun.elapsed();
                return Ok(Outcome::Committed {
                    totals,
                    before: false,
                });
            }
            Err(error) if error.is_rejection() => error,
            Err(error) => return Err(error),
        };
        // The server has not added this copy. An earlier one may be committed, or still run.
        let settle = ledger::settle(connection, self.id, outgoing.number);
        Ok(match within(STATEMENT_TIMEOUT, settle).await? {
            Some(totals) => Outcome::Committed {
                totals,
                before: true,
            },
            None => Outcome::Rejected(rejection),
        })
    }

    /// Makes room for those of `pages` that are new. Returns those for which there is none.
    async fn admit(&mut self, pages: &[&str]) -> Result<Vec<String>, database::Error> {
        let is_new = |page: &&str| !self.known.contains(*page);
        let new: Vec<_> = pages.iter().copied().filter(is_new).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let admit = settings::admit(&mut self.connection, &new, self.page_limit);
        let refused = within(STATEMENT_TIMEOUT, admit).await?;
        if refused.is_empty() {
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
            self.known.extend(new.into_iter().map(String::from));
        }
        Ok(refused)
    }

    async fn wait_for_locks(&mut self, limit: Duration) -> Result<(), database::Error> {
        if self.lock_timeout != limit {
            let set = database::set_lock_timeout(&mut self.connection, limit);
            within(STATEMENT_TIMEOUT, set).await?;
            self.lock_timeout = limit;
        }
        Ok(())
    }
}

/// Lets days begin in `zone` from now on.
async fn set_time_zone(
    connection: &mut PgConnection,
    zone: &TimeZone,
) -> Result<(), database::Error> {
    let before = within(STATEMENT_TIMEOUT, settings::time_zone(connection)).await?;
    if before == zone.as_str() {
        return Ok(());
    }
    let set = settings::set_time_zone(connection, zone.as_str());
    if !within(STATEMENT_TIMEOUT, set).await? {
        return Err(database::Error::Misconfigured(format!(
            "time_zone: PostgreSQL knows no {zone}; set a name such as Europe/Berlin or UTC"
        )));
    }
    log::warn!("days begin in the time zone {zone} from now on, and no longer in {before}");
    Ok(())
}
