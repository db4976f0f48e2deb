//! The database: connections, the pool and migrations. The only layer that connects.

mod error;
mod grants;
mod hosts;
mod listener;
mod migrations;
mod pool;
mod readiness;
mod session;

use std::time::Duration;

use sqlx::{Connection, PgConnection};

pub use self::error::{Error, within};
pub use self::hosts::follow;
use self::hosts::{ensure_commits, first};
pub use self::listener::Listener;
pub use self::migrations::remedy;
pub use self::pool::{Db, Pool, close, query, stage};
pub use self::readiness::{ConnectionMonitor, NotReady, Readiness, Server};
pub use self::session::LOCK_TIMEOUT;
use self::session::{CONNECT_TIMEOUT, session};
use crate::config;

/// How long the migrations may take.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(600);

/// Connects to the host that takes writes, and applies the migrations that are missing. A statement
/// may take up to `statement_timeout`; zero is no limit.
///
/// # Errors
/// The database cannot be reached or used, or a migration failed.
pub async fn connect(
    database: &config::Database,
    statement_timeout: Duration,
) -> Result<(PgConnection, Server), Error> {
    let open = |host| connect_to(database, host, statement_timeout);
    first(database, open).await
}

async fn connect_to(
    database: &config::Database,
    host: usize,
    statement_timeout: Duration,
) -> Result<(PgConnection, Server), Error> {
    let open = async {
        let mut connection = open(database, host, statement_timeout).await?;
        let server = inspect(database, host, &mut connection).await?;
        let missing = migrations::missing(&mut connection).await?;
        Ok::<_, Error>((connection, server, missing))
    };
    let opened = within(CONNECT_TIMEOUT, open).await;
    let (connection, server, missing) = opened.map_err(Error::or_pooler)?;
    if !missing.is_empty() {
        let mut migrating = connect_to_migrate(database, host).await?;
        within(MIGRATE_TIMEOUT, migrations::apply(&mut migrating)).await?;
    }
    Ok((connection, server))
}

/// Connects to the host at this position. If there are several, it must be the one that commits.
async fn open(
    database: &config::Database,
    host: usize,
    statement_timeout: Duration,
) -> Result<PgConnection, Error> {
    let options = session(&database.hosts[host], statement_timeout);
    let mut connection = PgConnection::connect_with(&options).await?;
    if database.hosts.len() > 1 {
        ensure_commits(&mut connection).await?;
    }
    Ok(connection)
}

/// Applies the migrations that are missing, and returns their numbers and names. `app` is a role
/// that does not own the tables and that shall be able to count.
///
/// # Errors
/// The database cannot be reached or used, a migration failed, or there is no such role.
pub async fn migrate(database: &config::Database, app: Option<&str>) -> Result<Vec<String>, Error> {
    let mut connection = first(database, |host| connect_to_migrate(database, host)).await?;
    within(MIGRATE_TIMEOUT, async {
        if let Some(role) = app {
            grants::on_new_tables(&mut connection, role).await?;
        }
        let missing = migrations::missing(&mut connection).await?;
        migrations::apply(&mut connection).await?;
        if let Some(role) = app {
            grants::on_all_tables(&mut connection, role).await?;
        }
        Ok::<_, Error>(missing)
    })
    .await
}

/// Connects for statements that may take long.
async fn connect_to_migrate(
    database: &config::Database,
    host: usize,
) -> Result<PgConnection, Error> {
    within(CONNECT_TIMEOUT, open(database, host, MIGRATE_TIMEOUT)).await
}

/// Connects to the host at this position, to hear the notifications on `channel`.
///
/// # Errors
/// The database cannot be reached.
pub async fn listen(
    database: &config::Database,
    host: usize,
    channel: &str,
) -> Result<Listener, Error> {
    let options = session(&database.hosts[host], CONNECT_TIMEOUT);
    within(CONNECT_TIMEOUT, Listener::connect(options, channel)).await
}

/// Sets how long the statements of `connection` wait for a lock.
///
/// # Errors
/// The database did not answer.
pub async fn set_lock_timeout(
    connection: &mut PgConnection,
    limit: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('lock_timeout', $1, false)")
        .bind(format!("{}ms", limit.as_millis()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Says which database answers, and makes sure that what it commits survives a crash.
async fn inspect(
    database: &config::Database,
    host: usize,
    connection: &mut PgConnection,
) -> Result<Server, Error> {
    // A commit waits for the disk, and for the standbys that the server has, whatever the role or
    // the database says.
    let server = sqlx::query_as(
        "SELECT current_database()::text,
            split_part(current_setting('server_version'), ' ', 1),
            ARRAY(
                SELECT name FROM unnest(ARRAY['fsync', 'full_page_writes']) AS name
                WHERE current_setting(name) = 'off'
            ),
            CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN
                set_config('synchronous_commit', 'on', false)
            END",
    );
    let (name, version, off, _): (_, _, Vec<String>, Option<String>) =
        server.fetch_one(connection).await?;
    match off.first() {
        Some(setting) if database.require_durability => Err(Error::Misconfigured(format!(
            "{setting} is off on the server, so a crash can lose views that were counted; turn it \
             on, or set databases.pageviews.require_durability = false"
        ))),
        _ => Ok(Server {
            name,
            version,
            host,
        }),
    }
}
