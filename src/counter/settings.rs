//! What the replicas share besides the counts: the time zone of days.

use sqlx::PgConnection;

/// The time zone of the days from now on.
///
/// # Errors
/// The database did not answer.
pub async fn time_zone(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let zone = sqlx::query_scalar("SELECT time_zone FROM settings");
    zone.fetch_one(connection).await
}

/// Lets days begin in the time zone `name` from now on. Returns whether the database knows it.
///
/// # Errors
/// The database did not answer.
pub async fn set_time_zone(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let set = "UPDATE settings SET time_zone = $1
               WHERE EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)";
    let set = sqlx::query(set).bind(name).execute(connection).await?;
    Ok(set.rows_affected() == 1)
}
