//! The database: its pool, its migrations, and whether it is ready. The one module that opens connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use figment::Figment;
use figment::providers::Serialized;
use figment::value::magic::RelativePathBuf;
use rocket::tokio::{sync::watch, time};
use rocket_db_pools::Database;
use serde::Serialize;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres};

use crate::config;

/// How long the database may take to answer before it counts as not ready.
const CHECK_WITHIN: Duration = Duration::from_secs(1);

/// How long it may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How long its migrations may take, other replicas' turns included.
const MIGRATE_WITHIN: Duration = Duration::from_secs(600);

/// How long its first word is waited for: whoever came meanwhile is still refused within 3 s.
const FIRST_WORD_WITHIN: Duration = Duration::from_millis(2500);

/// How long a lost database is worth waiting for: as long as it takes to restart.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pool of connections to the database that `databases.pageviews` configures.
#[derive(Database)]
#[database("pageviews")]
pub struct Db(Pool);

/// sqlx's pool as one that rocket_db_pools manages: its own support is for sqlx 0.7 only.
pub struct Pool(PgPool);

impl std::ops::Deref for Pool {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.0
    }
}

#[rocket::async_trait]
impl rocket_db_pools::Pool for Pool {
    type Connection = PoolConnection<Postgres>;
    type Error = rocket_db_pools::Error<config::Error, sqlx::Error>;

    async fn init(figment: &Figment) -> Result<Self, Self::Error> {
        let settings: rocket_db_pools::Config = figment.extract()?;
        let options = connect_options(figment).map_err(rocket_db_pools::Error::Init)?;
        // Lazy: the program starts without its database and says so, instead of dying of "pool timed out".
        Ok(Self(
            PgPoolOptions::new()
                .min_connections(settings.min_connections.unwrap_or(0))
                .max_connections(u32::try_from(settings.max_connections).unwrap_or(u32::MAX))
                .acquire_timeout(Duration::from_secs(settings.connect_timeout))
                .idle_timeout(settings.idle_timeout.map(Duration::from_secs))
                .connect_lazy_with(options),
        ))
    }

    async fn get(&self) -> Result<Self::Connection, Self::Error> {
        self.0.acquire().await.map_err(rocket_db_pools::Error::Get)
    }

    /// Does nothing: Rocket calls this as soon as it is told to stop, and the requests in flight still
    /// need the pool. [`close`] does it after them.
    async fn close(&self) {}
}

/// Closes the pool, waiting for its connections for a bounded time only: the server may be gone.
pub async fn close(db: &Db) {
    let _ = time::timeout(Duration::from_millis(500), db.0.close()).await;
}

/// How to connect, from the figment below `databases.pageviews`.
///
/// # Errors
/// A setting there is missing or wrong. The message never holds the URL or the password.
pub fn connect_options(figment: &Figment) -> Result<PgConnectOptions, config::Error> {
    const PREFIX: &str = "databases.pageviews.";
    let settings: rocket_db_pools::Config = figment
        .clone()
        .join(Serialized::default("max_connections", 1))
        .join(Serialized::default("connect_timeout", 1))
        .extract()
        .map_err(|e| config::Error::of(&e, PREFIX))?;
    let wrong_url = |problem: &str| {
        config::Error::new(format!("{PREFIX}url"), problem)
            .found_in(figment.find_metadata("url"))
            .cure("write it as postgres://user@host:5432/name")
    };
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| settings.url.starts_with(scheme))
    {
        return Err(wrong_url("not the URL of a PostgreSQL database"));
    }
    let mut options: PgConnectOptions = settings.url.parse().map_err(|e: sqlx::Error| match e {
        sqlx::Error::Configuration(cause) => wrong_url(&cause.to_string()),
        _ => wrong_url("not a valid URL"),
    })?;
    if figment.contains("password_file") {
        let path = figment
            .extract_inner::<RelativePathBuf>("password_file")
            .map_err(|e| config::Error::of(&e, PREFIX))?
            .relative();
        let wrong_file = |problem: String| {
            config::Error::new(format!("{PREFIX}password_file"), problem)
                .found_in(figment.find_metadata("password_file"))
                .cure("name a readable file that holds the password alone")
        };
        let password = std::fs::read_to_string(&path)
            .map_err(|e| wrong_file(format!("cannot read {}: {e}", path.display())))?;
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(wrong_file(format!("{} is empty", path.display())));
        }
        // On the options, not spliced into the URL: a password may hold any character.
        options = options.password(password);
    }
    Ok(options.application_name("pageviews"))
}

/// The database that answers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// The database's name.
    pub name: String,
    /// PostgreSQL's version, such as `18.1`.
    pub version: String,
}

/// Why the database cannot be used now, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// Nothing was heard from it yet.
    Starting,
    /// No connection can be made, or it was lost.
    Unreachable,
    /// It does not let us in: the user, the password or the database's name is wrong.
    Denied,
    /// A migration failed.
    Migrating,
    /// It answers with an error: its disk is full, say.
    Failing,
    /// It does not answer in time.
    Slow,
    /// Nobody here counts any more: the engine has ended.
    Stopped,
}

impl NotReady {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Migrating => "migrating",
            Self::Failing => "failing",
            Self::Slow => "slow",
            Self::Stopped => "stopped",
        }
    }

    /// What `problem` means.
    pub fn because_of(problem: &sqlx::Error) -> Self {
        match problem {
            sqlx::Error::Migrate(_) => Self::Migrating,
            sqlx::Error::PoolTimedOut => Self::Slow,
            sqlx::Error::Database(error) => match error.code().as_deref() {
                // Class 28, and an unknown database.
                Some(code) if code.starts_with("28") || code == "3D000" => Self::Denied,
                // Class 57P, the server's own comings and goings.
                Some(code) if code.starts_with("57P") => Self::Unreachable,
                _ => Self::Failing,
            },
            _ => Self::Unreachable,
        }
    }
}

#[derive(Clone, Debug)]
enum State {
    Usable(Arc<Server>),
    /// Lost since the instant; whoever comes soon after waits for it to come back.
    Lost(Arc<Server>, Instant, NotReady),
    Unusable(NotReady),
}

/// Whether the database can be used, as every request may know at no cost.
#[derive(Clone)]
pub struct Readiness(watch::Receiver<State>);

impl Readiness {
    /// The database, if it is worth waiting for: it is there, or was until a moment ago, and may be restarting.
    ///
    /// # Errors
    /// Why not.
    pub fn server(&self) -> Result<Arc<Server>, NotReady> {
        match &*self.0.borrow() {
            State::Usable(server) => Ok(server.clone()),
            State::Lost(server, since, _) if since.elapsed() < PATIENCE => Ok(server.clone()),
            State::Lost(_, _, reason) | State::Unusable(reason) => Err(*reason),
        }
    }

    /// The same, but who comes while we start waits for the first word of the database, instead of being refused by
    /// a replica that is about to be ready.
    ///
    /// # Errors
    /// Why not.
    pub async fn usable(&self) -> Result<Arc<Server>, NotReady> {
        if let Err(NotReady::Starting) = self.server() {
            let spoken = |state: &State| !matches!(state, State::Unusable(NotReady::Starting));
            let _ = time::timeout(FIRST_WORD_WITHIN, self.0.clone().wait_for(spoken)).await;
        }
        self.server()
    }

    /// What was last heard of the database, at no cost.
    ///
    /// # Errors
    /// Why it cannot be used, or that whoever would say so is gone.
    pub fn heard(&self) -> Result<(), NotReady> {
        // Closed with its sender, which the engine holds: it ended, or panicked.
        self.0.has_changed().map_err(|_| NotReady::Stopped)?;
        match &*self.0.borrow() {
            State::Usable(_) => Ok(()),
            State::Lost(_, _, reason) | State::Unusable(reason) => Err(*reason),
        }
    }

    /// Asks the database for an answer now.
    ///
    /// # Errors
    /// Why it cannot be used, within a second or so.
    pub async fn check(&self, db: &Db) -> Result<(), NotReady> {
        self.heard()?;
        match time::timeout(CHECK_WITHIN, sqlx::query("SELECT 1").execute(&*db.0)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(problem)) => Err(NotReady::because_of(&problem)),
            Err(_) => Err(NotReady::Slow),
        }
    }
}

/// Where whoever holds the connection reports when it is lost and found, and the log hears of it.
pub struct Outage {
    state: watch::Sender<State>,
    /// Since the last connection that worked.
    failures: u32,
}

/// A database of which nothing is known yet.
pub fn readiness() -> (Outage, Readiness) {
    let (state, watched) = watch::channel(State::Unusable(NotReady::Starting));
    (Outage { state, failures: 0 }, Readiness(watched))
}

impl Outage {
    /// What was asked of the database at `since` failed.
    pub fn begins(&mut self, since: Instant, problem: &sqlx::Error) {
        let reason = NotReady::because_of(problem);
        self.state.send_modify(|state| match state {
            State::Usable(server) => *state = State::Lost(server.clone(), since, reason),
            State::Lost(_, _, old) | State::Unusable(old) => *old = reason,
        });
        self.failures += 1;
        // Failures 1, 2, 4, 8 …: the first is said at once, the rest ever more rarely.
        if self.failures.is_power_of_two() {
            log::warn!("database {}, trying again: {problem}", reason.word());
        }
    }

    /// The database works again, or at last.
    pub fn ends(&mut self, server: Arc<Server>) {
        // Whoever was warned of the outage hears of its end, at the same level.
        let level = if self.failures > 0 {
            log::Level::Warn
        } else {
            log::Level::Info
        };
        log::log!(
            level,
            "database {} is ready (PostgreSQL {})",
            server.name,
            server.version
        );
        self.failures = 0;
        self.state.send_replace(State::Usable(server));
    }

    /// How long to wait before the next try: not at all at first, a second in the end.
    pub fn pause(&self) -> Duration {
        match self.failures {
            0 | 1 => Duration::ZERO,
            failures => Duration::from_millis(25 << failures.min(6)).min(Duration::from_secs(1)),
        }
    }
}

/// Connects, and brings the database up to date.
///
/// # Errors
/// It cannot be reached or used, or a migration failed.
pub async fn connect(options: &PgConnectOptions) -> Result<(PgConnection, Server), sqlx::Error> {
    let connected = time::timeout(CONNECT_WITHIN, PgConnection::connect_with(options)).await;
    let mut connection = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    let updated = time::timeout(MIGRATE_WITHIN, migrate(&mut connection)).await;
    updated.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    // The server gives up before we do, so that a connection we drop leaves nothing running that holds a lock.
    sqlx::raw_sql("SET statement_timeout = '2500ms'; SET lock_timeout = '2s'")
        .execute(&mut connection)
        .await?;
    let (name, version) = sqlx::query_as(
        "SELECT current_database()::text, split_part(current_setting('server_version'), ' ', 1)",
    )
    .fetch_one(&mut connection)
    .await?;
    Ok((connection, Server { name, version }))
}

async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut migrations = sqlx::migrate!();
    // A newer replica may have applied more than we know of: each migration works under the code before it.
    migrations.set_ignore_missing(true);
    // Under PostgreSQL's advisory lock, so replicas that start at once take turns. `run_direct`, because
    // `run` does not compile in a spawned task: "implementation of `Acquire` is not general enough".
    migrations
        .run_direct(None, connection, false)
        .await
        .map_err(|e| sqlx::Error::Migrate(Box::new(e)))
}
