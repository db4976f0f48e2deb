//! A writer: a process that counts, over a connection of its own. It bounds what the ledger does.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
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

/// Of how many pages a writer remembers that they exist. Each takes about 16 bytes.
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
    /// No copy of it was added, and none can be any more, because some of its pages were new.
    NewPages {
        /// The pages for which there is no room. The others exist now.
        refused: Vec<String>,
    },
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
    /// The hashes of pages that exist. Two names that share one, which is 1 in 10^14 for a new
    /// page, would let there be one page too many.
    known: HashSet<u64>,
    /// Its keys are random, so nobody can find two such names.
    hasher: RandomState,
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
        within(
            STATEMENT_TIMEOUT,
            ledger::plan_for_any_size(&mut connection),
        )
        .await?;
        let writer = Self {
            connection,
            id,
            lock_timeout: database::LOCK_TIMEOUT,
            last_duration: Duration::ZERO,
            page_limit: counting.page_limit.get().into(),
            known: HashSet::new(),
            hasher: RandomState::new(),
        };
        Ok((writer, server))
    }

    /// Makes sure that the database still takes writes, and that the standbys get them.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub async fn check(&mut self) -> Result<(), database::Error> {
        let settle = ledger::settle(&mut self.connection, self.id, 0);
        within(STATEMENT_TIMEOUT, settle).await.map(drop)
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
        let hashes: Vec<_> = pages
            .iter()
            .map(|page| self.hasher.hash_one(page))
            .collect();
        let are_known = hashes.iter().all(|hash| self.known.contains(hash));
        let (connection, id, number) = (&mut self.connection, self.id, outgoing.number);
        let begun = Instant::now();
        let add = ledger::add(connection, id, number, &pages, &sizes, are_known);
        let rejection = match within(STATEMENT_TIMEOUT, add).await {
            Ok(Some(totals)) => {
                self.last_duration = begun.elapsed();
                if self.known.len() >= MAX_KNOWN {
                    self.known.clear();
                }
                self.known.extend(hashes);
                return Ok(Outcome::Committed {
                    totals,
                    before: false,
                });
            }
            Ok(None) => None,
            Err(error) if error.is_rejection() => Some(error),
            Err(error) => return Err(error),
        };
        // The server has not added this copy. An earlier one may be committed, or still run.
        if outgoing.again || rejection.is_some() {
            let settle = ledger::settle(connection, id, number);
            if let Some(totals) = within(STATEMENT_TIMEOUT, settle).await? {
                return Ok(Outcome::Committed {
                    totals,
                    before: true,
                });
            }
        }
        if let Some(rejection) = rejection {
            return Ok(Outcome::Rejected(rejection));
        }
        let admit = settings::admit(connection, &pages, self.page_limit);
        match within(STATEMENT_TIMEOUT, admit).await {
            Ok(refused) => Ok(Outcome::NewPages { refused }),
            Err(error) if error.is_rejection() => Ok(Outcome::Rejected(error)),
            Err(error) => Err(error),
        }
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
