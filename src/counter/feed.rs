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

/// How long it takes at least from one read of changed or newly followed pages to the next.
const READ_INTERVAL: Duration = Duration::from_millis(100);

/// How long the database may take to answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// A total, and when the question for it was sent.
#[derive(Clone, Copy)]
struct Reading {
    views: i64,
    asked: Instant,
}

/// The total of a page for one follower.
pub struct Total {
    newest: watch::Receiver<Option<Reading>>,
    /// The follower has perhaps seen what was counted before this.
    since: Instant,
    last: Option<i64>,
}

impl Total {
    /// Waits for the newest total if the follower has not got it yet. `None` if the feed is gone.
    pub async fn next(&mut self) -> Option<i64> {
        let (since, last) = (self.since, self.last);
        let is_new = |reading: &Option<Reading>| {
            reading.is_some_and(|reading| reading.asked >= since && Some(reading.views) != last)
        };
        let reading = *self.newest.wait_for(is_new).await.ok()?;
        self.last = reading.map(|reading| reading.views);
        self.last
    }
}

/// The pages that somebody follows, and their totals as far as they are known.
pub struct Feed {
    pages: Mutex<Pages>,
    new_follower: Notify,
    followers: Followers,
}

#[derive(Default)]
struct Pages {
    totals: BTreeMap<PageName, watch::Sender<Option<Reading>>>,
    /// Those of which the total has to be read.
    unread: BTreeSet<PageName>,
}

impl Feed {
    /// A feed without followers.
    pub fn new(limits: LiveLimits) -> Self {
        Self {
            pages: Mutex::default(),
            new_follower: Notify::new(),
            followers: Followers::new(limits),
        }
    }

    /// How many followers there are, and how many there may be.
    pub fn followers(&self) -> (usize, usize) {
        self.followers.count()
    }

    /// The totals of `pages`, for somebody at `address` if that is known: none is older than this
    /// call. This is one follower, until the `Follower` is dropped.
    ///
    /// # Errors
    /// There are too many followers already.
    pub fn follow(
        &self,
        pages: impl IntoIterator<Item = PageName>,
        address: Option<IpAddr>,
    ) -> Result<(Vec<(PageName, Total)>, Follower), TooManyFollowers> {
        let follower = self.followers.admit(address)?;
        let Pages { totals, unread } = &mut *self.followed();
        let since = Instant::now();
        let follow = |page: PageName| {
            let total = totals.entry(page.clone()).or_default();
            unread.insert(page.clone());
            let total = Total {
                newest: total.subscribe(),
                since,
                last: None,
            };
            (page, total)
        };
        let followed = pages.into_iter().map(follow).collect();
        self.new_follower.notify_one();
        Ok((followed, follower))
    }

    /// Keeps the totals up to date for as long as there are followers, and until the engine ends.
    /// Without followers nobody listens.
    pub async fn run(&self, database: &config::Database, readiness: &Readiness) {
        loop {
            if self.followed().totals.is_empty() {
                self.new_follower.notified().await;
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
            let pages: Vec<_> = {
                let mut followed = self.followed();
                followed.unread.clear();
                followed.totals.keys().cloned().collect()
            };
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
        let asked = Instant::now();
        let read = within(QUERY_TIMEOUT, totals::of_each(connection, &names)).await?;
        let followed = self.lock();
        for page in pages {
            let views = read.get(page.as_str()).map_or(0, |count| count.views);
            if let Some(total) = followed.totals.get(page) {
                total.send_replace(Some(Reading { views, asked }));
            }
        }
        Ok(())
    }

    /// Reads the totals of pages that change or get a follower, until all have to be read.
    async fn read_changes(&self, listener: &mut Listener) -> Result<(), database::Error> {
        // One timer for all notifications: on a busy page a timer for each would never end.
        let reread = time::sleep(REREAD_INTERVAL);
        pin!(reread);
        let mut next_read = Instant::now();
        loop {
            let has_unread = !self.lock().unread.is_empty();
            select! {
                notification = listener.notification() => {
                    let notification = notification?;
                    let Pages { totals, unread } = &mut *self.lock();
                    let names = ledger::parse_notification(notification.payload());
                    let pages = names.filter_map(|name| Some(totals.get_key_value(name)?.0));
                    unread.extend(pages.cloned());
                }
                () = time::sleep_until(next_read), if has_unread => {
                    let pages: Vec<_> = mem::take(&mut self.lock().unread).into_iter().collect();
                    self.read(listener, &pages).await?;
                    next_read = Instant::now() + READ_INTERVAL;
                }
                () = self.new_follower.notified() => {}
                () = &mut reread => return Ok(()),
            }
        }
    }

    /// The pages that have followers. Forgets those that have none.
    fn followed(&self) -> MutexGuard<'_, Pages> {
        let mut pages = self.lock();
        let Pages { totals, unread } = &mut *pages;
        totals.retain(|page, total| {
            if total.is_closed() {
                unread.remove(page);
            }
            !total.is_closed()
        });
        pages
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        // A panic with the lock held leaves a map that is whole.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
