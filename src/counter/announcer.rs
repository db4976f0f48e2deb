//! Tells all replicas which pages have new totals, apart from the batches.
//!
//! PostgreSQL lets only one transaction of the whole server notify at a time, until its commit. A
//! batch that notified would keep others waiting while it waits for the disk, and would wait for
//! other programs itself. So this is a task of its own, over a connection of the pool.

use std::collections::HashSet;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocket::tokio::sync::mpsc;
use rocket::tokio::time;

use super::ledger;
use crate::database::{Pool, query};

/// How long it takes at least from one announcement to the next.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long an announcement may take: longer than the server waits for the lock of notifications,
/// so that the server says so.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Where the engine reports which pages have new totals.
pub struct Changes {
    pages: Pages,
    /// Holds one message while there is something to announce.
    any: mpsc::Sender<()>,
}

/// Announces what is reported to [`Changes`].
pub struct Announcer {
    pages: Pages,
    any: mpsc::Receiver<()>,
}

/// The names of the pages that have changed since the last announcement.
#[derive(Clone, Default)]
struct Pages(Arc<Mutex<HashSet<String>>>);

impl Pages {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        // A panic with the lock held leaves a set that is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ends, with nothing to announce.
pub fn announcer() -> (Changes, Announcer) {
    let (sender, receiver) = mpsc::channel(1);
    let pages = Pages::default();
    (
        Changes {
            pages: pages.clone(),
            any: sender,
        },
        Announcer {
            pages,
            any: receiver,
        },
    )
}

impl Changes {
    /// These pages have new totals. Never waits.
    pub fn add(&self, pages: &[&str]) {
        if self.any.is_closed() {
            return;
        }
        let mut changed = self.pages.lock();
        for page in pages {
            if !changed.contains(*page) {
                changed.insert(page.to_string());
            }
        }
        drop(changed);
        // If this fails there is a message already.
        let _ = self.any.try_send(());
    }
}

impl Announcer {
    /// Announces changes over connections of `pool`, until the engine ends. What the database does
    /// not accept is lost: listeners also read the totals from time to time.
    pub async fn run(mut self, pool: &Pool) {
        let mut is_refused = false;
        while self.any.recv().await.is_some() {
            let pages = mem::take(&mut *self.pages.lock());
            let announce = async |database: &mut _| ledger::announce(database, &pages).await;
            match query(pool, TIMEOUT, announce).await {
                Ok(()) => is_refused = false,
                Err(error) if error.is_rejection() && !is_refused => {
                    is_refused = true;
                    log::warn!("live totals are late: {error}");
                }
                // The engine logs an outage.
                Err(error) => log::debug!("live totals are late: {error}"),
            }
            time::sleep(INTERVAL).await;
        }
    }
}
