//! What the database does with a batch: it adds each batch once, however often it is sent.

use sqlx::PgConnection;
use uuid::Uuid;

/// The channel on which replicas hear which pages have new totals.
pub const CHANNEL: &str = "views";

/// How long a notification may be, in bytes. PostgreSQL allows less than 8,000.
const MAX_NOTIFICATION: usize = 7_900;

/// Adds the batch $2 of the writer $1: $4 views to the pages $3, one each. One statement is one
/// transaction and one round trip. If $5 does not say that all of the pages exist, and one of them
/// does not, it does nothing and returns no row.
///
/// Every replica locks rows in the same order: pages by name, their days by name, its own writer.
/// If a lost connection left a copy of the batch running, this one waits for it at the first row
/// that both change.
const ADD: &str = r#"
    WITH added AS (
        SELECT page, views FROM unnest($3::text[], $4::bigint[]) AS added (page, views)
        WHERE $5 OR (SELECT count(*) FROM pages WHERE page = ANY ($3)) = cardinality($3)
    ), total AS (
        INSERT INTO pages AS p (page, views, last_day)
        SELECT page, views, (clock_timestamp() AT TIME ZONE (SELECT time_zone FROM settings))::date
        FROM added ORDER BY page COLLATE "C"
        -- Days only move on: the clock may have been ahead, or the page locked past midnight.
        ON CONFLICT (page) DO UPDATE SET
            views = p.views + excluded.views,
            views_before_last_day = CASE
                WHEN p.last_day >= excluded.last_day THEN p.views_before_last_day ELSE p.views
            END,
            last_day = greatest(p.last_day, excluded.last_day)
        RETURNING page, views, last_day, views_before_last_day AS before
    ), opened AS (
        -- If this batch has the first views of a day, the page had its other views before the day.
        INSERT INTO days (page, day, views_before)
        SELECT total.page, last_day, before FROM total JOIN added ON added.page = total.page
        WHERE before = total.views - added.views ORDER BY total.page
        ON CONFLICT DO NOTHING
    )
    INSERT INTO writers AS w (writer, batch, totals)
    SELECT $1, $2, array_agg(views ORDER BY page) FROM total HAVING count(*) > 0
    ON CONFLICT (writer) DO UPDATE SET
        -- A number that is not new becomes NULL. The column is NOT NULL, so the whole statement
        -- fails and adds nothing: that is how a batch is added once.
        batch = CASE WHEN w.batch < excluded.batch THEN excluded.batch END,
        totals = excluded.totals
    RETURNING totals"#;

/// Settles the batch $2 of the writer $1. The totals of a batch that was never added are empty.
const SETTLE: &str = "
    INSERT INTO writers AS w (writer, batch, totals) VALUES ($1, $2, '{}')
    ON CONFLICT (writer) DO UPDATE SET
        batch = greatest(w.batch, excluded.batch),
        totals = CASE WHEN w.batch < excluded.batch THEN excluded.totals ELSE w.totals END
    RETURNING totals";

/// Lets every statement of `connection` be planned once, for a table of pages of any size.
///
/// A plan from when there were few pages would read all of them when there are many. PostgreSQL
/// takes the plan that this forces for an expensive one, so it would also compile it each time.
///
/// # Errors
/// The database did not answer.
pub async fn plan_for_any_size(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT set_config(name, value, false) FROM (VALUES
            ('enable_seqscan', 'off'), ('jit', 'off'), ('plan_cache_mode', 'force_generic_plan')
         ) AS settings (name, value)",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds `sizes` views to `pages`, which are in order, as batch `number` of `writer`. Returns the
/// totals that this makes, in the order of the pages. If one of the pages does not exist, it adds
/// nothing and returns `None`, unless `are_known` says that all of them exist.
///
/// # Errors
/// The database did not confirm. If it rejected the batch, [`settle`] tells whether an earlier copy
/// was added. Otherwise this copy may have been added, and it is safe to send it again.
pub async fn add(
    connection: &mut PgConnection,
    writer: Uuid,
    number: i64,
    pages: &[&str],
    sizes: &[i64],
    are_known: bool,
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let added = sqlx::query_scalar(ADD)
        .bind(writer)
        .bind(number)
        .bind(pages)
        .bind(sizes)
        .bind(are_known);
    Ok(committed(added.fetch_all(connection).await?))
}

/// Settles what became of batch `number` of `writer`. Returns the totals that it made, if it is
/// committed. Otherwise no copy of it can be added any more. With number 0 it makes `writer` known.
///
/// It writes in any case: a database that takes no writes cannot count. And as a commit it waits,
/// like the batch itself, until the standbys have what they must have.
///
/// # Errors
/// The database did not confirm. The outcome is as unknown as before.
pub async fn settle(
    connection: &mut PgConnection,
    writer: Uuid,
    number: i64,
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let settled = sqlx::query_scalar(SETTLE).bind(writer).bind(number);
    let totals = committed(settled.fetch_all(connection).await?).ok_or(sqlx::Error::RowNotFound)?;
    Ok(Some(totals).filter(|totals| !totals.is_empty()))
}

/// The only row of a statement that is committed, if it returns one. It needs all rows, because
/// `fetch_one` returns with the first, which the server may send before it commits.
fn committed(rows: Vec<Vec<i64>>) -> Option<Vec<i64>> {
    rows.into_iter().next()
}

/// Tells all listeners that `pages` have new totals.
///
/// It waits until no other transaction of the server notifies, and for no disk or standby itself:
/// PostgreSQL waits only for commits that change something.
///
/// # Errors
/// The database did not answer, another transaction notifies for long, or the queue of
/// notifications is full.
pub async fn announce(
    connection: &mut PgConnection,
    pages: impl IntoIterator<Item: AsRef<str>>,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, names) FROM unnest($2::text[]) AS notification (names)")
        .bind(CHANNEL)
        .bind(notifications(pages))
        .execute(connection)
        .await?;
    Ok(())
}

/// The names of `pages`, on lines of their own, in as few notifications as can hold them.
fn notifications(pages: impl IntoIterator<Item: AsRef<str>>) -> Vec<String> {
    let mut notifications: Vec<String> = Vec::new();
    for page in pages {
        let page = page.as_ref();
        match notifications.last_mut() {
            Some(last) if last.len() + 1 + page.len() <= MAX_NOTIFICATION => {
                last.push('\n');
                last.push_str(page);
            }
            _ => notifications.push(page.to_string()),
        }
    }
    notifications
}

/// The names of the pages that a notification on [`CHANNEL`] says have new totals.
pub fn parse_notification(payload: &str) -> impl Iterator<Item = &str> {
    payload.lines()
}

/// How full the server's queue of notifications is, from 0 to 1. Nobody can notify when it is full,
/// and a listener that does not read keeps it from being emptied.
///
/// # Errors
/// The database did not answer.
pub async fn notification_queue_usage(connection: &mut PgConnection) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_notification_queue_usage()")
        .fetch_one(connection)
        .await
}
