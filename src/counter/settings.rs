//! What the replicas share besides the counts: the time zone of days, and how many pages there are.

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

/// Makes room for new pages. Returns those of `pages` that have none, because then there would be
/// more than `limit`. The others exist from now on.
///
/// The statements are planned each time, for the size that the table has now.
///
/// # Errors
/// The database did not answer.
pub async fn admit(
    connection: &mut PgConnection,
    pages: &[&str],
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    let missing = missing(connection, pages).await?;
    if missing.is_empty() {
        return Ok(missing);
    }
    sqlx::query(
        "WITH room AS (
            SELECT $2 - pages AS pages FROM page_count WHERE pages < $2 FOR UPDATE
        ), added AS (
            INSERT INTO pages (page, views)
            SELECT page, 0 FROM unnest($1::text[]) AS missing (page)
            ORDER BY page COLLATE \"C\" LIMIT coalesce((SELECT pages FROM room), 0)
            ON CONFLICT DO NOTHING RETURNING page
        )
        UPDATE page_count SET pages = pages + (SELECT count(*) FROM added)
        WHERE EXISTS (SELECT FROM added)",
    )
    .bind(&missing)
    .bind(limit)
    .persistent(false)
    .execute(&mut *connection)
    .await?;
    let missing: Vec<_> = missing.iter().map(String::as_str).collect();
    self::missing(connection, &missing).await
}

/// Those of `pages` that do not exist.
async fn missing(
    connection: &mut PgConnection,
    pages: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT page FROM unnest($1::text[]) AS wanted (page)
         WHERE NOT EXISTS (SELECT FROM pages WHERE pages.page = wanted.page)",
    )
    .bind(pages)
    .persistent(false)
    .fetch_all(connection)
    .await
}

/// Counts the pages again: a replica of an older version, or a person, may have added some.
///
/// # Errors
/// The database did not answer.
pub async fn count_pages(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // With the lock, nobody adds a page until the commit. Both statements are one message, so the
    // server commits even if this program vanishes.
    sqlx::raw_sql(
        "SELECT FROM page_count FOR UPDATE;
         UPDATE page_count SET pages = counted.pages
         FROM (SELECT count(*) AS pages FROM pages) AS counted
         WHERE page_count.pages <> counted.pages",
    )
    .execute(connection)
    .await?;
    Ok(())
}
