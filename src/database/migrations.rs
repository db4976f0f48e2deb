//! The migrations, which the program contains.

use sqlx::PgConnection;
use sqlx::migrate::{MigrateError, Migrator};

use super::error::Error;

/// The migrations of this program. A newer replica may have applied others: each migration works
/// with the code before it.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true);
    migrations
}

/// The migrations of this program that the database does not have: the number and the name of
/// each. Takes no lock.
///
/// # Errors
/// The database did not answer.
pub async fn missing(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let table = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    let applied: Vec<(i64, Vec<u8>)> = match table.fetch_one(&mut *connection).await? {
        false => Vec::new(),
        true => {
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
                .fetch_all(connection)
                .await?
        }
    };
    let is_applied = |version, checksum: &[u8]| {
        let mut applied = applied.iter();
        applied.any(|(known, of)| *known == version && of == checksum)
    };
    Ok(migrations()
        .iter()
        .filter(|migration| !is_applied(migration.version, &migration.checksum))
        .map(|migration| format!("{} {}", migration.version, migration.description))
        .collect())
}

/// Applies the migrations that are missing. A statement may take as long as `connection` lets it.
///
/// Replicas take turns under PostgreSQL's advisory lock. If the lock is taken for longer than the
/// connection waits for locks, this fails, so that the caller looks again what is missing.
///
/// # Errors
/// A migration failed, or another replica applies them.
pub async fn apply(connection: &mut PgConnection) -> Result<(), MigrateError> {
    // `run` does not compile in a spawned task: "implementation of `Acquire` is not general
    // enough".
    migrations().run_direct(None, connection, false).await
}

/// What to do about `error`, if it means that the role may not migrate.
pub fn remedy(error: &Error) -> Option<&'static str> {
    if let Error::Hosts(errors) = error {
        return errors.iter().find_map(remedy);
    }
    let Error::Migration(MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) =
        error
    else {
        return None;
    };
    // 42501 is insufficient_privilege.
    (cause.as_database_error()?.code()? == "42501")
        .then_some("run `pageviews migrate` as the owner of the tables")
}
