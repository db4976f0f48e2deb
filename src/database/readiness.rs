//! Whether the database can be used, as every request may know at no cost.
//!
//! The engine owns the [`ConnectionMonitor`] and reports to it; everybody else reads [`Readiness`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use rocket::tokio::sync::watch;
use rocket::tokio::time;
use serde::Serialize;
use sqlx::Connection;

use super::error::Error;
use super::migrations::remedy;
use super::pool::{Pool, query};

/// How long [`Readiness::ping`] waits for an answer.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// How long [`Readiness::wait`] waits after the start of the program, so that a visitor without a
/// database is answered within 3 s.
const FIRST_CONNECTION_TIMEOUT: Duration = Duration::from_millis(2500);

/// The database that answers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// The name of the database.
    pub name: String,
    /// The version of PostgreSQL, such as `18.1`.
    pub version: String,
    /// The position of its host among those that are configured.
    #[serde(skip)]
    pub host: usize,
}

/// Why the database cannot be used now. As text, one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The first connection was not made yet.
    #[error("starting")]
    Starting,
    /// No connection can be made, or it was lost.
    #[error("unreachable")]
    Unreachable,
    /// The user, the password or the name of the database is wrong.
    #[error("denied")]
    Denied,
    /// There is no TLS connection of the kind that the configuration demands.
    #[error("untrusted")]
    Untrusted,
    /// A migration failed.
    #[error("migrating")]
    Migrating,
    /// It takes no writes.
    #[error("read-only")]
    ReadOnly,
    /// A setting of this program or of the server is wrong.
    #[error("misconfigured")]
    Misconfigured,
    /// It answers with an error, such as a full disk.
    #[error("failing")]
    Failing,
    /// It does not answer in time.
    #[error("slow")]
    Slow,
    /// The engine has ended, so nothing is counted any more.
    #[error("stopped")]
    Stopped,
}

impl From<&Error> for NotReady {
    fn from(error: &Error) -> Self {
        let sqlx = match error {
            Error::Timeout(_) | Error::Sqlx(sqlx::Error::PoolTimedOut) => return Self::Slow,
            Error::Misconfigured(_) => return Self::Misconfigured,
            Error::ReadOnly => return Self::ReadOnly,
            Error::Hosts(errors) => return Self::of_hosts(errors),
            Error::Migration(_) => return Self::Migrating,
            Error::Sqlx(sqlx) if is_about_tls(sqlx) => return Self::Untrusted,
            Error::Sqlx(sqlx) => sqlx,
        };
        match sqlx.as_database_error().map(|reported| reported.code()) {
            None => Self::Unreachable,
            Some(code) => match code.as_deref() {
                // Class 28 is about authorization; 3D000 is an unknown database.
                Some(code) if code.starts_with("28") || code == "3D000" => Self::Denied,
                // Class 57P: the server starts or stops.
                Some(code) if code.starts_with("57P") => Self::Unreachable,
                Some("25006") => Self::ReadOnly,
                _ => Self::Failing,
            },
        }
    }
}

impl NotReady {
    /// What is worth telling if no host can be used: a fault that somebody has to mend, or that the
    /// hosts which answer take no writes.
    fn of_hosts(errors: &[Error]) -> Self {
        let rank = |reason: &Self| match reason {
            Self::Unreachable | Self::Slow => 0,
            Self::ReadOnly => 1,
            _ => 2,
        };
        let reasons = errors.iter().map(Self::from);
        reasons.max_by_key(rank).unwrap_or(Self::Unreachable)
    }
}

fn is_about_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // sqlx passes on as an input/output error what rustls refuses, such as a certificate.
        sqlx::Error::Io(error) => error
            .get_ref()
            .is_some_and(|cause| cause.is::<rustls::Error>()),
        _ => false,
    }
}

#[derive(Clone, Debug)]
enum State {
    Usable(Arc<Server>),
    /// Lost since the instant.
    Lost(Arc<Server>, Instant, NotReady),
    Unusable(NotReady),
}

/// Whether the database can be used. Cheap to clone.
#[derive(Clone)]
pub struct Readiness {
    state: watch::Receiver<State>,
    /// How long a lost database is worth waiting for.
    patience: Duration,
}

impl Readiness {
    /// The database, if it is usable or was until a moment ago, so that a request may wait for it.
    ///
    /// # Errors
    /// Why it is not worth waiting for.
    pub fn current(&self) -> Result<Arc<Server>, NotReady> {
        match &*self.state.borrow() {
            State::Usable(server) => Ok(server.clone()),
            State::Lost(server, since, _) if since.elapsed() < self.patience => Ok(server.clone()),
            State::Lost(_, _, reason) | State::Unusable(reason) => Err(*reason),
        }
    }

    /// The same as [`Readiness::current`], but just after the start of the program it first waits
    /// for the first connection, because a replica that is about to be ready should refuse nobody.
    ///
    /// # Errors
    /// Why it is not worth waiting for.
    pub async fn wait(&self) -> Result<Arc<Server>, NotReady> {
        if let Err(NotReady::Starting) = self.current() {
            let started = |state: &State| !matches!(state, State::Unusable(NotReady::Starting));
            let mut state = self.state.clone();
            let first = time::timeout(FIRST_CONNECTION_TIMEOUT, state.wait_for(started));
            // Boxed, so that every request's future need not have room for it.
            let _ = Box::pin(first).await;
        }
        self.current()
    }

    /// Waits until the database is usable, without a bound. `None` if the engine ends before.
    pub async fn until_usable(&self) -> Option<Arc<Server>> {
        self.until(|_| true).await
    }

    /// Waits until the engine has connected again after it used `server`, which may be another
    /// server then. `None` if the engine ends before.
    pub async fn until_replaced(&self, server: &Arc<Server>) -> Option<Arc<Server>> {
        self.until(|usable| !Arc::ptr_eq(usable, server)).await
    }

    async fn until(&self, is_it: impl Fn(&Arc<Server>) -> bool) -> Option<Arc<Server>> {
        let mut states = self.state.clone();
        let is_it = |state: &State| matches!(state, State::Usable(server) if is_it(server));
        let server = match &*states.wait_for(is_it).await.ok()? {
            State::Usable(server) => server.clone(),
            State::Lost(..) | State::Unusable(_) => return None,
        };
        // It does not look whether the engine has ended if the last state is the right one.
        states.has_changed().ok().map(|_| server)
    }

    /// What the engine reported last.
    ///
    /// # Errors
    /// Why the database cannot be used, or that the engine has ended.
    pub fn last_known(&self) -> Result<(), NotReady> {
        // The engine holds the sender: the channel is closed when the engine ended or panicked.
        self.state.has_changed().map_err(|_| NotReady::Stopped)?;
        match &*self.state.borrow() {
            State::Usable(_) => Ok(()),
            State::Lost(_, _, reason) | State::Unusable(reason) => Err(*reason),
        }
    }

    /// Whether the database was usable at any time since the program started.
    ///
    /// # Errors
    /// Why it never was, or that the engine has ended.
    pub fn since_start(&self) -> Result<(), NotReady> {
        match self.last_known() {
            Ok(()) => Ok(()),
            Err(NotReady::Stopped) => Err(NotReady::Stopped),
            Err(reason) => match &*self.state.borrow() {
                State::Usable(_) | State::Lost(..) => Ok(()),
                State::Unusable(_) => Err(reason),
            },
        }
    }

    /// Asks the database for an answer now, over a connection of `pool`.
    ///
    /// # Errors
    /// Why it cannot be used, within a second or so.
    pub async fn ping(&self, pool: &Pool) -> Result<(), NotReady> {
        self.last_known()?;
        let ping = query(pool, PING_TIMEOUT, async |connection| {
            connection.ping().await
        });
        ping.await.map_err(|error| NotReady::from(&error))
    }
}

/// Where the owner of a connection reports its fate. It publishes the state and logs outages.
pub struct ConnectionMonitor {
    state: watch::Sender<State>,
    /// Failures since the last working connection.
    failures: u32,
}

impl ConnectionMonitor {
    /// A monitor of a database of which nothing is known yet, and the view of its readers. A lost
    /// database is worth waiting for `patience`.
    pub fn new(patience: Duration) -> (Self, Readiness) {
        let (sender, state) = watch::channel(State::Unusable(NotReady::Starting));
        let monitor = Self {
            state: sender,
            failures: 0,
        };
        (monitor, Readiness { state, patience })
    }

    /// Reports that what began at `since` failed.
    pub fn failed(&mut self, since: Instant, error: &Error) {
        let reason = NotReady::from(error);
        self.state.send_modify(|state| match state {
            State::Usable(server) => *state = State::Lost(server.clone(), since, reason),
            State::Lost(_, _, old) | State::Unusable(old) => *old = reason,
        });
        self.failures += 1;
        // Failures 1, 2, 4, 8 and so on: a long outage must not fill the log.
        if self.failures.is_power_of_two() {
            let remedy = remedy(error).map_or_else(String::new, |remedy| format!("; {remedy}"));
            log::warn!("database {reason}, trying again: {error}{remedy}");
        }
    }

    /// Reports that the database works.
    pub fn connected(&mut self, server: Arc<Server>) {
        // The end of an outage has the level of its beginning.
        let level = match self.failures {
            0 => log::Level::Info,
            _ => log::Level::Warn,
        };
        let Server { name, version, .. } = &*server;
        log::log!(level, "database {name} is ready (PostgreSQL {version})");
        self.failures = 0;
        self.state.send_replace(State::Usable(server));
    }

    /// How long to wait before the next attempt: nothing at first, and never more than a second.
    pub fn backoff(&self) -> Duration {
        match self.failures {
            0 | 1 => Duration::ZERO,
            failures => Duration::from_millis(25 << failures.min(6)).min(Duration::from_secs(1)),
        }
    }
}
