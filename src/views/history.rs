//! What was counted, read back: totals, and the views of each day.

use serde::Serialize;
use sqlx::{PgExecutor, Row};

use crate::page::Page;

/// How many days a history has, today included.
pub const DAYS: usize = 30;

/// The views of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// All of them.
    pub views: i64,
    /// Those of the last [`DAYS`] days, oldest first; the last is today.
    pub days: Vec<Day>,
}

impl History {
    /// The views of today.
    pub fn today(&self) -> i64 {
        self.days.last().map_or(0, |day| day.views)
    }
}

/// The views of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The UTC day, such as `2026-11-23`.
    pub day: String,
    /// How many.
    pub views: i64,
}

/// One row for each of the days from `$2 - 1` days ago to today. The views of a day are the difference between what there was before it and before
/// the next one that had any: see migrations/0001_pages.sql.
const HISTORY: &str = "
    WITH today AS (
        SELECT (now() AT TIME ZONE 'UTC')::date AS today
    ), total AS (
        SELECT coalesce((SELECT views FROM pages WHERE page = $1), 0) AS total
    ), counted AS (
        SELECT day, lead(views_before, 1, total) OVER (ORDER BY day) - views_before AS views
        FROM days, today, total WHERE page = $1 AND day > today - $2
    )
    SELECT total, to_char(shown.day, 'YYYY-MM-DD') AS day, coalesce(views, 0) AS views
    FROM today, total, generate_series(0, $2 - 1) AS ago, LATERAL (SELECT today - ago AS day) AS shown
    LEFT JOIN counted USING (day)
    ORDER BY shown.day";

/// The history of `page`; of one that was never counted, it is all zeros.
///
/// # Errors
/// The database did not answer.
pub async fn history(executor: impl PgExecutor<'_>, page: &Page) -> Result<History, sqlx::Error> {
    let rows = sqlx::query(HISTORY)
        .bind(page.as_str())
        .bind(DAYS as i32)
        .fetch_all(executor)
        .await?;
    let views = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
    let days = rows.iter().map(|row| {
        Ok(Day {
            day: row.try_get("day")?,
            views: row.try_get("views")?,
        })
    });
    Ok(History {
        views,
        days: days.collect::<Result<_, sqlx::Error>>()?,
    })
}

/// The views of those of `pages` that were ever counted.
///
/// # Errors
/// The database did not answer.
pub async fn totals(
    executor: impl PgExecutor<'_>,
    pages: &[&str],
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT page, views FROM pages WHERE page = ANY($1)")
        .bind(pages)
        .fetch_all(executor)
        .await
}

/// Every page that was ever counted, by name, with its views and those of today.
///
/// # Errors
/// The database did not answer.
pub async fn all(executor: impl PgExecutor<'_>) -> Result<Vec<(String, i64, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT page, views, coalesce(views - views_before, 0) FROM pages
         LEFT JOIN (SELECT * FROM days WHERE day = (now() AT TIME ZONE 'UTC')::date) AS today USING (page)
         ORDER BY page",
    )
    .fetch_all(executor)
    .await
}

/// The views of every page on each UTC day that had any, by name and day.
///
/// # Errors
/// The database did not answer.
pub async fn all_days(
    executor: impl PgExecutor<'_>,
) -> Result<Vec<(String, String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT page, to_char(day, 'YYYY-MM-DD'),
             lead(views_before, 1, views) OVER (PARTITION BY page ORDER BY day) - views_before
         FROM days JOIN pages USING (page) ORDER BY page, day",
    )
    .fetch_all(executor)
    .await
}
