//! What the database does with a batch: it adds it exactly once, however often it is sent.

use sqlx::error::ErrorKind;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::page::Page;

/// The largest number that a page may be set to. A script reads numbers exactly up to 2^53, and this leaves room to count on.
pub const LARGEST: i64 = 1_000_000_000_000_000;

/// Adds the batch $2 of the writer $1: $4 views to the pages $3. One statement, so one transaction and one round trip.
///
/// It ends by noting the batch's number, which must be new: a number that was used before becomes NULL, which the column
/// refuses, and the whole statement with it. Should a lost connection have left the same batch running on the server,
/// then this statement waits for the end of that one, at the first row that both change.
///
/// Rows are locked in one order everywhere: pages by name, their days by name, the writer's own. The day is taken when the page
/// is locked, and not when the transaction began, so that days follow each other as the totals do.
///
/// Whoever listens on [`CHANNEL`] hears of each page's new total when it is committed: see [`crate::live`]. To tell costs as much as a tenth of a
/// small batch, so it is done only while somebody listens, who holds [`LISTENING`]: then this transaction cannot have it.
const ADD: &str = r#"
    WITH added AS (
        SELECT page, views FROM unnest($3::text[], $4::bigint[]) AS added (page, views)
    ), total AS (
        INSERT INTO pages AS p (page, views)
        SELECT page, views FROM added ORDER BY page COLLATE "C"
        ON CONFLICT (page) DO UPDATE SET views = p.views + excluded.views
        RETURNING page, views
    ), day AS (
        INSERT INTO days (page, day, views_before)
        SELECT total.page, (clock_timestamp() AT TIME ZONE 'UTC')::date, total.views - added.views
        FROM total JOIN added ON added.page = total.page ORDER BY total.page
        ON CONFLICT DO NOTHING
    )
    INSERT INTO writers AS w (writer, batch, totals)
    SELECT $1, $2, array_agg(views ORDER BY page) FROM (
        SELECT page, views, CASE WHEN NOT alone THEN pg_notify('views', views || ' ' || page) END
        FROM total, (SELECT pg_try_advisory_xact_lock(8097863) AS alone OFFSET 0) AS listening
    ) AS told
    ON CONFLICT (writer) DO UPDATE SET
        batch = CASE WHEN w.batch < excluded.batch THEN excluded.batch END,
        totals = excluded.totals
    RETURNING totals"#;

/// Where whoever wants to know of new totals listens.
pub const CHANNEL: &str = "views";

/// The lock that whoever listens shares for as long as it does, and has before it reads the totals. Who counts tries to have it alone until
/// the commit: so a batch is either told, or committed before the listener got the lock. Two batches at once may take each
/// other for a listener, and tell nobody.
pub const LISTENING: i64 = 8_097_863;

/// What was told on [`CHANNEL`]: a total, and the name of its page.
pub fn told(payload: &str) -> Option<(i64, &str)> {
    let (views, page) = payload.split_once(' ')?;
    Some((views.parse().ok()?, page))
}

/// Makes `writer` known, as one that has committed nothing yet, unless it is known. Writes in either case: a database
/// that takes no writes is not one to count in.
///
/// # Errors
/// The database did not confirm.
pub async fn register(connection: &mut PgConnection, writer: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO writers (writer, batch, totals) VALUES ($1, 0, '{}')
         ON CONFLICT (writer) DO UPDATE SET writer = excluded.writer",
    )
    .bind(writer)
    .execute(connection)
    .await?;
    Ok(())
}

/// A batch that is committed.
pub struct Added {
    /// The totals that it made, in the order of its pages.
    pub totals: Vec<i64>,
    /// Whether an earlier copy was found committed.
    pub before: bool,
}

impl Added {
    /// What had become of the earlier copies, in a word.
    pub fn outcome(&self) -> &'static str {
        if self.before { "committed" } else { "repeated" }
    }
}

/// Adds `sizes` views to `pages`, which are ordered, as batch `number` of `writer`, and returns the totals that this
/// made. To send a batch again under its number is safe at any time, and returns what the first time made.
///
/// # Errors
/// The database did not confirm. The batch may have been added all the same.
pub async fn add(
    connection: &mut PgConnection,
    writer: Uuid,
    number: i64,
    pages: &[&str],
    sizes: &[i64],
) -> Result<Added, sqlx::Error> {
    let added = sqlx::query_scalar(ADD)
        .bind(writer)
        .bind(number)
        .bind(pages)
        .bind(sizes)
        // Not fetch_one: it returns with the first row, which the server may send before it commits. This reads on until
        // the server is ready for the next statement, which it is after the commit.
        .fetch_all(&mut *connection)
        .await;
    let before = matches!(&added, Err(sqlx::Error::Database(refused)) if refused.kind() == ErrorKind::NotNullViolation);
    let totals = match added {
        Err(_) if before => {
            sqlx::query_scalar("SELECT totals FROM writers WHERE writer = $1 AND batch = $2")
                .bind(writer)
                .bind(number)
                .fetch_all(connection)
                .await?
        }
        added => added?,
    };
    let totals = totals.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
    Ok(Added { totals, before })
}

/// What became of a [`set`].
#[derive(Debug, PartialEq, Eq)]
pub enum Set {
    /// It was done.
    Done {
        /// The views before.
        before: i64,
    },
    /// It was not: numbers would be shown a second time.
    Refused {
        /// The views now.
        now: i64,
    },
}

/// Lets `page` go on counting from `views`, less than which it has only if `repeat_numbers`. Its days keep their views; if
/// there are not so many left, the oldest days lose theirs.
///
/// # Errors
/// The database did not confirm.
pub async fn set(
    connection: &mut PgConnection,
    page: &Page,
    views: i64,
    repeat_numbers: bool,
) -> Result<Set, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // Locks the row, as a batch does, and first: a page that is not there could be counted between a look and a change.
    let before: i64 = sqlx::query_scalar(
        "INSERT INTO pages AS p (page, views) VALUES ($1, 0)
         ON CONFLICT (page) DO UPDATE SET views = p.views RETURNING views",
    )
    .bind(page.as_str())
    .fetch_one(&mut *transaction)
    .await?;
    if views < before && !repeat_numbers {
        return Ok(Set::Refused { now: before });
    }
    sqlx::query(
        "WITH moved AS (
            UPDATE days SET views_before = greatest(views_before + $2 - $3, 0) WHERE page = $1
        )
        UPDATE pages SET views = $2 WHERE page = $1 RETURNING pg_notify('views', views || ' ' || page)",
    )
    .bind(page.as_str())
    .bind(views)
    .bind(before)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Set::Done { before })
}
