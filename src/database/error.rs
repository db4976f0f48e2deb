//! What can go wrong between the program and the database, and the clock that bounds it.

use std::time::Duration;

use rocket::tokio::time;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not answer within this time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A setting, of this program or of the server, is of no use. The text says how to mend it.
    #[error("{0}")]
    Misconfigured(String),
    /// The server takes no writes.
    #[error("it takes no writes, as a standby or by its setting default_transaction_read_only")]
    ReadOnly,
    /// None of several hosts can be used, each for a reason of its own.
    #[error("{}", list(.0))]
    Hosts(Vec<Error>),
    /// A migration failed.
    #[error(transparent)]
    Migration(#[from] MigrateError),
    /// The connection failed, or the server answered with an error.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

/// The reasons of all hosts. Their names are settings, so each is told by its position.
fn list(errors: &[Error]) -> String {
    let of_host = |(position, error)| format!("host {}: {error}", position + 1);
    let each: Vec<_> = errors.iter().enumerate().map(of_host).collect();
    each.join("; ")
}

impl Error {
    /// Why none of the hosts can be used, by the reasons of each.
    pub(super) fn of_hosts(mut errors: Vec<Error>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::Hosts(errors),
        }
    }

    /// The same error, or how to mend the connection pooler that causes it.
    pub(super) fn or_pooler(self) -> Self {
        let Some(reported) = self.reported() else {
            return self;
        };
        match reported.code().as_deref() {
            Some("08P01") if reported.message().contains("startup parameter") => {
                Self::Misconfigured(
                    "the connection pooler refuses startup parameters; connect to PostgreSQL \
                     itself, or set ignore_startup_parameters = extra_float_digits,options and \
                     pool_mode = session in PgBouncer"
                        .into(),
                )
            }
            // A prepared statement that exists already, or does not exist.
            Some("42P05" | "26000") => Self::Misconfigured(
                "a connection pooler gives each transaction another session; connect to \
                 PostgreSQL itself, or set pool_mode = session in PgBouncer"
                    .into(),
            ),
            _ => self,
        }
    }

    /// Whether the role lacks the privilege (insufficient_privilege).
    pub fn is_forbidden(&self) -> bool {
        self.has_code(&["42501"])
    }

    /// Whether somebody else used a row for too long (lock_not_available, deadlock_detected).
    pub fn is_locked(&self) -> bool {
        self.has_code(&["55P03", "40P01"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        let code = self.reported().and_then(DatabaseError::code);
        code.is_some_and(|code| codes.contains(&code.as_ref()))
    }

    /// What the server says, if it answered with an error.
    fn reported(&self) -> Option<&dyn DatabaseError> {
        match self {
            Self::Sqlx(error) => error.as_database_error(),
            Self::Hosts(errors) => errors.iter().find_map(Self::reported),
            _ => None,
        }
    }

    /// Whether the server has rolled the statement back, and goes on with the connection.
    pub fn is_rejection(&self) -> bool {
        let reported = self.reported().and_then(|it| it.try_downcast_ref());
        let Some(reported): Option<&PgDatabaseError> = reported else {
            return false;
        };
        // Faults of the connection: the server has lost its prepared statement, or cannot use it
        // any more.
        let is_stale = reported.code().starts_with("26") || reported.code() == "0A000";
        // After FATAL and PANIC the transaction may be committed all the same.
        matches!(reported.severity(), PgSeverity::Error) && !is_stale
    }
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
