//! What can go wrong between the program and the database, and the clock that bounds it.

use std::time::Duration;

use rocket::tokio::time;
use sqlx::migrate::MigrateError;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not answer within this time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A migration failed.
    #[error(transparent)]
    Migration(#[from] MigrateError),
    /// The connection failed, or the server answered with an error.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

/// Waits for `query` for at most `limit`.
///
/// # Errors
/// The query failed, or took longer.
pub async fn within<T, E: Into<Error>>(
    limit: Duration,
    query: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    match time::timeout(limit, query).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Error::Timeout(limit)),
    }
}
