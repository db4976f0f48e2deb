//! A clock of the database that a test sets.

use sqlx::{AssertSqlSafe, PgConnection};

/// Replaces the functions that read the clock, in new connections to the database at `url`. The
/// clock stands still until [`set`] moves it.
pub async fn install(url: &str) {
    let mut admin = super::connect(url).await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    // PostgreSQL's own functions come last, and tables are made in `public`.
    let install = format!(
        "CREATE SCHEMA clock;
         CREATE TABLE clock.hand (time timestamptz);
         INSERT INTO clock.hand VALUES ('2026-06-15 12:00+00');
         CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql
            AS 'SELECT time FROM clock.hand';
         CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql
            AS 'SELECT time FROM clock.hand';
         ALTER DATABASE {name} SET search_path = public, clock, pg_catalog"
    );
    sqlx::raw_sql(AssertSqlSafe(install))
        .execute(&mut admin)
        .await
        .unwrap();
}

/// Sets the clock to `time`, such as `2026-06-15 12:00+00`.
pub async fn set(admin: &mut PgConnection, time: &str) {
    sqlx::query("UPDATE clock.hand SET time = $1::text::timestamptz")
        .bind(time)
        .execute(admin)
        .await
        .unwrap();
}
