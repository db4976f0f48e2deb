//! The counts of several pages at once, and of all pages of a pattern together.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::PgExecutor;

use crate::page::Selection;

/// How often a page was viewed, or all pages of a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Count {
    /// All views.
    pub views: i64,
    /// The views of today.
    pub today: i64,
}

/// The counts of those of `pages` that were ever counted, by name. `LIMIT` tells the planner that
/// `settings` has one row.
///
/// # Errors
/// The database did not answer.
pub async fn of_each(
    executor: impl PgExecutor<'_>,
    pages: &[&str],
) -> Result<BTreeMap<String, Count>, sqlx::Error> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT page, views,
            CASE WHEN last_day = today THEN views - views_before_last_day ELSE 0 END
         FROM pages, (
            SELECT (now() AT TIME ZONE time_zone)::date AS today FROM settings LIMIT 1
         ) AS clock
         WHERE page = ANY ($1)",
    )
    .bind(pages)
    .fetch_all(executor)
    .await?;
    let count = |(page, views, today)| (page, Count { views, today });
    Ok(rows.into_iter().map(count).collect())
}

/// The counts of all pages of `selection` together, at most as much as a `bigint` can be.
///
/// The pages of a pattern stand together in the index, and the database reads no others. So the
/// sums of patterns that do not overlap take together as long as one of all pages.
///
/// # Errors
/// The database did not answer.
pub async fn of_all(
    executor: impl PgExecutor<'_>,
    selection: &Selection,
) -> Result<Count, sqlx::Error> {
    let (first, end) = bounds(selection);
    sqlx::query_as(
        "SELECT least(coalesce(sum(views), 0), 9223372036854775807)::bigint AS views,
            least(
                coalesce(sum(views - views_before_last_day) FILTER (WHERE last_day = today), 0),
                9223372036854775807
            )::bigint AS today
         FROM pages, (
            SELECT (now() AT TIME ZONE time_zone)::date AS today FROM settings LIMIT 1
         ) AS clock
         WHERE page >= $1 AND page < $2 AND (page = ANY ($3) OR page ^@ ANY ($4))",
    )
    .bind(first)
    .bind(end)
    .bind(&selection.names)
    .bind(&selection.prefixes)
    .fetch_one(executor)
    .await
}

/// Between which names all pages of `selection` stand, in the order of bytes. The second is no
/// page of it.
pub fn bounds(selection: &Selection) -> (String, String) {
    let (names, prefixes) = (selection.names.iter(), selection.prefixes.iter());
    let first = names.clone().chain(prefixes.clone()).min();
    // No character of a name comes before `!`, and `0` comes after `/`.
    let after_name = names.map(|name| format!("{name}!"));
    let after_prefix = prefixes.map(|prefix| match prefix.strip_suffix('/') {
        Some(page) => format!("{page}0"),
        None => char::MAX.to_string(),
    });
    let end = after_name.chain(after_prefix).max();
    (first.cloned().unwrap_or_default(), end.unwrap_or_default())
}
