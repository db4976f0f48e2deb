//! Several hosts, of which one takes writes. The engine finds it, and the pool follows.

use std::collections::BTreeMap;
use std::time::Duration;

use rocket::futures::StreamExt;
use rocket::futures::stream::FuturesUnordered;
use rocket::tokio::time;
use sqlx::PgConnection;

use super::error::Error;
use super::pool::Pool;
use super::readiness::Readiness;
use crate::config;

/// After which time a host is tried again that failed, while others have not answered yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Lets `open` connect to all hosts of `database` at once, by their position, and returns what is
/// open first. A host that is silent delays nobody: meanwhile the others are tried again, because
/// one of them may be about to become the primary.
///
/// # Errors
/// Each host failed. If there are several, the error names the reason of each.
pub(super) async fn first<T, F>(
    database: &config::Database,
    open: impl Fn(usize) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let attempt = async |host, after| {
        time::sleep(after).await;
        (host, open(host).await)
    };
    let hosts = 0..database.hosts.len();
    let mut attempts: FuturesUnordered<_> = hosts
        .clone()
        .map(|host| attempt(host, Duration::ZERO))
        .collect();
    let mut errors = BTreeMap::new();
    while let Some((host, opened)) = attempts.next().await {
        match opened {
            Ok(opened) => return Ok(opened),
            Err(error) => errors.insert(host, error),
        };
        if errors.len() == hosts.len() {
            break;
        }
        attempts.push(attempt(host, RETRY_INTERVAL));
    }
    Err(Error::of_hosts(errors.into_values().collect()))
}

/// Makes sure that the server confirms a commit. A server that was the primary, and does not know
/// that another one took over, waits in vain for a standby to have it.
pub(super) async fn ensure_commits(connection: &mut PgConnection) -> Result<(), Error> {
    let is_read_only = sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'on'");
    if is_read_only.fetch_one(&mut *connection).await? {
        return Err(Error::ReadOnly);
    }
    // The smallest transaction that writes.
    sqlx::query("SELECT pg_logical_emit_message(true, 'pageviews', '')")
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets `pool` use the server that the engine uses, until the engine ends. Whenever the engine has
/// connected again, the pool does too: a name may lead to another server by then, and the old one
/// may tell old counts for ever.
pub async fn follow(pool: Pool, readiness: Readiness) {
    // The pool begins with the first host.
    let mut host = 0;
    let mut server = readiness.until_usable().await;
    while let Some(current) = server {
        if current.host != host {
            host = current.host;
            log::warn!("host {} of the database takes the writes now", host + 1);
        }
        pool.renew(host).await;
        server = readiness.until_replaced(&current).await;
    }
}
