//! The database: connections, the pool and migrations. The only layer that connects.

mod error;
mod readiness;

use std::time::Duration;

use figment::Figment;
use rocket::fairing::AdHoc;
use rocket::tokio::time;
use rocket_db_pools::Database;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres};

pub use self::error::{Error, within};
pub use self::readiness::{ConnectionMonitor, NotReady, Readiness, Server};
use crate::config;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the migrations may take, with the turns of other replicas.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(600);

/// How long the pool may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The pool that all requests share. The engine has a connection of its own.
#[derive(Database)]
#[database("pageviews")]
pub struct Db(Pool);

/// A pool of sqlx 0.9 for rocket_db_pools, whose own driver pins sqlx 0.7 (RUSTSEC-2024-0363).
pub struct Pool(PgPool);

impl std::ops::Deref for Pool {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.0
    }
}

impl From<&config::Database> for Pool {
    /// Connects when a connection is first needed: an eager pool would end the program when the
    /// database is late, and hide the cause behind "pool timed out".
    fn from(settings: &config::Database) -> Self {
        let options = PgPoolOptions::new()
            .min_connections(settings.min_connections)
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.connect_timeout)
            .idle_timeout(settings.idle_timeout);
        Self(options.connect_lazy_with(settings.connect.clone()))
    }
}

#[rocket::async_trait]
impl rocket_db_pools::Pool for Pool {
    type Connection = PoolConnection<Postgres>;
    type Error = rocket_db_pools::Error<config::Error, sqlx::Error>;

    /// For `Db::init`, which only has the figment. [`stage`] takes settings that are parsed.
    async fn init(figment: &Figment) -> Result<Self, Self::Error> {
        let settings = config::Database::from_figment(figment, 1);
        settings
            .map(|settings| Self::from(&settings))
            .map_err(rocket_db_pools::Error::Init)
    }

    async fn get(&self) -> Result<Self::Connection, Self::Error> {
        self.0.acquire().await.map_err(rocket_db_pools::Error::Get)
    }

    /// Does nothing: the fairing of `Db::init` would close the pool while requests in flight still
    /// need it. [`close`] does it after them.
    async fn close(&self) {}
}

/// Manages the pool.
pub fn stage(settings: &config::Database) -> AdHoc {
    let db = Db::from(Pool::from(settings));
    AdHoc::on_ignite("Database", |rocket| async { rocket.manage(db) })
}

/// Closes the pool. Waits for its connections for a bounded time: the server may be gone.
pub async fn close(db: &Db) {
    let _ = time::timeout(CLOSE_TIMEOUT, db.0.close()).await;
}

/// Connects to a database that is up to date.
///
/// # Errors
/// The database cannot be reached.
pub async fn open(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    within(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await
}

/// Connects, and applies the migrations that are missing. A statement may take up to
/// `statement_timeout`.
///
/// # Errors
/// The database cannot be reached or used, or a migration failed.
pub async fn connect(
    options: &PgConnectOptions,
    statement_timeout: Duration,
) -> Result<(PgConnection, Server), Error> {
    let mut connection = open(options).await?;
    within(MIGRATE_TIMEOUT, migrate(&mut connection)).await?;
    let settings = sqlx::query(
        "SELECT set_config('lock_timeout', '2s', false),
            set_config('statement_timeout', $1, false)",
    )
    .bind(format!("{}ms", statement_timeout.as_millis()));
    within(CONNECT_TIMEOUT, settings.execute(&mut connection)).await?;
    let server = sqlx::query_as(
        "SELECT current_database()::text,
            split_part(current_setting('server_version'), ' ', 1)",
    );
    let (name, version) = within(CONNECT_TIMEOUT, server.fetch_one(&mut connection)).await?;
    Ok((connection, Server { name, version }))
}

/// Connects to hear the notifications on `channel`. The connection is closed when the listener is
/// dropped.
///
/// # Errors
/// The database cannot be reached.
pub async fn listen(options: &PgConnectOptions, channel: &str) -> Result<PgListener, Error> {
    // sqlx takes a listener's connection from a pool, so it gets a pool of its own.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_release(|_, _| Box::pin(async { Ok(false) }))
        .connect_lazy_with(options.clone());
    let mut listener = within(CONNECT_TIMEOUT, PgListener::connect_with(&pool)).await?;
    listener.eager_reconnect(false);
    within(CONNECT_TIMEOUT, listener.listen(channel)).await?;
    Ok(listener)
}

async fn migrate(connection: &mut PgConnection) -> Result<(), Error> {
    let mut migrations = sqlx::migrate!();
    // A newer replica may have applied migrations that this program does not know. Each migration
    // works with the code before it.
    migrations.set_ignore_missing(true);
    // Migrations run under PostgreSQL's advisory lock, so replicas take turns. `run_direct`,
    // because `run` does not compile in a spawned task: "implementation of `Acquire` is not
    // general enough".
    Ok(migrations.run_direct(None, connection, false).await?)
}
