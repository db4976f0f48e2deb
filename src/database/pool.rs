//! The pool of connections that all requests share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use figment::Figment;
use rocket::fairing::AdHoc;
use rocket::tokio::{spawn, time};
use rocket_db_pools::Database;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool, Postgres};

use super::error::{Error, within};
use super::session;
use crate::config;

/// How long a statement of the pool may run on the server.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long a connection that was idle may take to answer before another one is opened, and how
/// long one may take to come back to the pool.
const PING_TIMEOUT: Duration = Duration::from_millis(300);

/// How long the pool may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The pool. The engine has a connection of its own.
#[derive(Database)]
#[database("pageviews")]
pub struct Db(Pool);

/// A pool of sqlx 0.9 for rocket_db_pools, whose own driver pins sqlx 0.7 (RUSTSEC-2024-0363).
#[derive(Clone)]
pub struct Pool {
    settings: Arc<config::Database>,
    /// The connections to the host that takes writes, as far as that is known.
    current: Arc<RwLock<PgPool>>,
}

impl From<&config::Database> for Pool {
    fn from(settings: &config::Database) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            current: Arc::new(RwLock::new(pool(settings, 0))),
        }
    }
}

impl Pool {
    /// Replaces the connections by others to the host at this position. Those that are in use are
    /// closed when they come back.
    pub(super) async fn renew(&self, host: usize) {
        let moved = pool(&self.settings, host);
        let old = std::mem::replace(
            &mut *self.current.write().unwrap_or_else(PoisonError::into_inner),
            moved,
        );
        close_in_time(&old).await;
    }

    /// How many connections are open, how many of these nothing uses, and how many may be open.
    pub fn connections(&self) -> (u32, usize, u32) {
        let pool = self.current();
        (pool.size(), pool.num_idle(), self.settings.max_connections)
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        match self.current().acquire().await {
            // The pool was renewed meanwhile.
            Err(sqlx::Error::PoolClosed) => self.current().acquire().await,
            acquired => acquired,
        }
    }

    fn current(&self) -> PgPool {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

/// Connects when a connection is first needed: an eager pool would end the program when the
/// database is late, and hide the cause behind "pool timed out".
fn pool(settings: &config::Database, host: usize) -> PgPool {
    PgPoolOptions::new()
        .min_connections(settings.min_connections)
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.connect_timeout)
        .idle_timeout(settings.idle_timeout)
        // sqlx's own test has no time limit.
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(async {
                let ping = time::timeout(PING_TIMEOUT, connection.ping()).await;
                Ok(matches!(ping, Ok(Ok(()))))
            })
        })
        .connect_lazy_with(session(&settings.hosts[host], STATEMENT_TIMEOUT))
}

#[rocket::async_trait]
impl rocket_db_pools::Pool for Pool {
    type Connection = PoolConnection<Postgres>;
    type Error = rocket_db_pools::Error<config::Error, sqlx::Error>;

    /// For `Db::init`, which only has the figment. [`stage`] takes settings that are parsed.
    async fn init(figment: &Figment) -> Result<Self, Self::Error> {
        let settings = config::Database::from_figment(figment);
        settings
            .map(|settings| Self::from(&settings))
            .map_err(rocket_db_pools::Error::Init)
    }

    async fn get(&self) -> Result<Self::Connection, Self::Error> {
        self.acquire().await.map_err(rocket_db_pools::Error::Get)
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

/// Closes the pool.
pub async fn close(db: &Db) {
    close_in_time(&db.current()).await;
}

/// Waits for the connections of `pool` for a bounded time: the server may be gone.
async fn close_in_time(pool: &PgPool) {
    let _ = time::timeout(CLOSE_TIMEOUT, pool.close()).await;
}

/// Lets `ask` use a connection of `pool` for at most `limit`, with the wait for the connection.
/// A connection that does not answer in time is closed: the network may have lost it in silence.
///
/// # Errors
/// The database did not answer, or answered with an error.
pub async fn query<T>(
    pool: &Pool,
    limit: Duration,
    ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, Error> {
    within(limit, async {
        let mut lease = Lease(Some(pool.acquire().await?));
        let answer = ask(lease.connection()?).await;
        lease.give_back();
        answer
    })
    .await
}

/// A connection that goes back to the pool only when its last question was answered.
struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// sqlx tests a connection that comes back, without a time limit.
    fn give_back(mut self) {
        if let Some(mut connection) = self.0.take() {
            spawn(time::timeout(PING_TIMEOUT, connection.return_to_pool()));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
