//! Totals as they change, whichever replica counted.
//!
//! Each replica announces which pages it has counted. A replica with followers hears that, and
//! reads the totals of those pages that somebody follows. A follower has no queue: it reads the
//! newest total when it is ready for one, so a slow reader delays nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rocket::tokio::sync::{Notify, watch};
use rocket::tokio::time::Instant;
use rocket::tokio::{pin, select, time};

use super::followers::{Follower, Followers, TooManyFollowers};
use super::{ledger, totals};
use crate::config::{self, LiveLimits};
use crate::database::{self, Listener, Readiness, within};
use crate::page::PageName;

/// How often the totals are read although nothing was notified, since a connection may break
/// silently. After the same time the listener notices that the last follower has left.
const REREAD_INTERVAL: Duration = Duration::from_secs(15);

/// How often the totals of changed pages are read at most, however many replicas count them.
const READ_INTERVAL: Duration = Duration::from_millis(100);

/// How long the database may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// The newest total of a page, or `None` until it is known.
pub type Total = watch::Receiver<Option<i64>>;

/// The pages that somebody follows, and their totals as far as they are known.
pub struct Feed {
    totals: Mutex<BTreeMap<PageName, watch::Sender<Option<i64>>>>,
    page_added: Notify,
    followers: Followers,
}

impl Feed {
    /// A feed without followers.
    pub fn new(limits: LiveLimits) -> Self {
        Self {
            totals: Mutex::default(),
            page_added: Notify::new(),
            followers: Followers::new(limits),
        }
    }

    /// How many followers there are, and how many there may be.
    pub fn followers(&self) -> (usize, usize) {
        self.followers.count()
    }

    /// The totals of `pages`, for somebody at `address` if that is known. This is one follower,
    /// until the `Follower` is dropped.
    ///
    /// # Errors
    /// There are too many followers already.
    pub fn follow(
        &self,
        pages: impl IntoIterator<Item = PageName>,
        address: Option<IpAddr>,
    ) -> Result<(Vec<(PageName, Total)>, Follower), TooManyFollowers> {
        let follower = self.followers.admit(address)?;
        let mut totals = self.followed();
        let follow = |page: PageName| {
            let total = totals.entry(page.clone()).or_insert_with(|| {
                self.page_added.notify_one();
                watch::Sender::new(None)
            });
            (page, total.subscribe())
        };
        Ok((pages.into_iter().map(follow).collect(), follower))
    }

    /// Keeps the totals up to date for as long as there are followers, and until the engine ends.
    /// Without followers nobody listens.
    pub async fn run(&self, database: &config::Database, readiness: &Readiness) {
        loop {
            if self.followed().is_empty() {
                self.page_added.notified().await;
            }
            let Some(server) = readiness.until_usable().await else {
                return;
            };
            let listened = select! {
                listened = self.listen(database, server.host) => listened,
                // A server that was the primary may stay silent for ever.
                replaced = readiness.until_replaced(&server) => match replaced {
                    Some(_) => Ok(()),
                    None => return,
                },
            };
            // The engine logs an outage. This only tries again.
            if let Err(error) = listened {
                log::debug!("live totals pause: {error}");
                time::sleep(RETRY_INTERVAL).await;
            }
        }
    }

    /// Returns when the last follower has left.
    async fn listen(
        &self,
        database: &config::Database,
        host: usize,
    ) -> Result<(), database::Error> {
        let mut listener = database::listen(database, host, ledger::CHANNEL).await?;
        loop {
            let pages: Vec<_> = self.followed().keys().cloned().collect();
            if pages.is_empty() {
                return Ok(());
            }
            self.read(&mut listener, &pages).await?;
            self.read_changes(&mut listener).await?;
        }
    }

    async fn read(
        &self,
        listener: &mut Listener,
        pages: &[PageName],
    ) -> Result<(), database::Error> {
        let names: Vec<_> = pages.iter().map(PageName::as_str).collect();
        let connection = listener.connection().await?;
        let read = within(QUERY_TIMEOUT, totals::of_each(connection, &names)).await?;
        for page in pages {
            self.set(page, read.get(page.as_str()).map_or(0, |count| count.views));
        }
        Ok(())
    }

    /// Reads the totals of pages that change, until the totals of all pages have to be read.
    async fn read_changes(&self, listener: &mut Listener) -> Result<(), database::Error> {
        // One timer for all notifications: on a busy page a timer for each would never end.
        let reread = time::sleep(REREAD_INTERVAL);
        pin!(reread);
        let (mut changed, mut next) = (BTreeSet::new(), Instant::now());
        loop {
            select! {
                notification = listener.notification() => {
                    let notification = notification?;
                    let followed = self.lock();
                    let names = ledger::parse_notification(notification.payload());
                    let pages = names.filter_map(|name| Some(followed.get_key_value(name)?.0));
                    changed.extend(pages.cloned());
                }
                () = time::sleep_until(next), if !changed.is_empty() => {
                    let pages: Vec<_> = mem::take(&mut changed).into_iter().collect();
                    self.read(listener, &pages).await?;
                    next = Instant::now() + READ_INTERVAL;
                }
                () = self.page_added.notified() => return Ok(()),
                () = &mut reread => return Ok(()),
            }
        }
    }

    fn set(&self, page: &PageName, views: i64) {
        if let Some(total) = self.lock().get(page) {
            total.send_if_modified(|known| known.replace(views) != Some(views));
        }
    }

    /// The pages that have followers. Forgets those that have none.
    fn followed(&self) -> MutexGuard<'_, BTreeMap<PageName, watch::Sender<Option<i64>>>> {
        let mut totals = self.lock();
        totals.retain(|_, total| !total.is_closed());
        totals
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PageName, watch::Sender<Option<i64>>>> {
        // A panic with the lock held leaves a map that is whole.
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
