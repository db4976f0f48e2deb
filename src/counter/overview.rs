//! The counted pages with the most views, and what all of them have together.

use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};

use super::history::DAYS;
use super::totals::{Count, bounds};
use crate::page::Selection;

/// How many pages an overview names.
const MAX_PAGES: i64 = 100;

/// What makes a page come before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// More views.
    Views,
    /// More views today.
    Today,
}

/// Some pages, and the sum of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The first [`MAX_PAGES`] pages.
    pub first: Vec<Page>,
    /// How many pages there are.
    pub pages: i64,
    /// The views of all of them, at most as much as a `bigint` can be.
    pub total: Count,
}

/// A page in an overview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The name.
    pub name: String,
    /// Its views.
    pub count: Count,
    /// The views of the last [`DAYS`] days, oldest first. The last day is today.
    pub days: Vec<i64>,
}

/// The first $6 of the pages between $1 and $2 with a name in $3 or a prefix in $4, by the views of
/// today if $5, and their last $7 days: see `READ` in `history.rs`. All of it is as of one moment.
const READ: &str = "
    WITH clock AS (
        SELECT (now() AT TIME ZONE time_zone)::date AS today FROM settings LIMIT 1
    ), counted AS (
        SELECT page, views,
            CASE WHEN last_day = today THEN views - views_before_last_day ELSE 0 END AS views_today
        FROM pages, clock
        WHERE page >= $1 AND page < $2 AND (page = ANY ($3) OR page ^@ ANY ($4))
    ), first AS (
        SELECT *, count(*) OVER () AS pages,
            least(sum(views) OVER (), 9223372036854775807)::bigint AS total,
            least(sum(views_today) OVER (), 9223372036854775807)::bigint AS total_today
        FROM counted ORDER BY CASE WHEN $5 THEN views_today END DESC, views DESC, page LIMIT $6
    )
    SELECT *, ARRAY(
        SELECT coalesce(opened.views, 0)
        FROM generate_series($7 - 1, 0, -1) AS ago LEFT JOIN (
            SELECT day, lead(views_before, 1, first.views) OVER (ORDER BY day) - views_before
                AS views
            FROM days WHERE days.page = first.page AND day > today - $7
        ) AS opened ON opened.day = today - ago ORDER BY ago DESC
    ) AS days
    FROM first, clock ORDER BY CASE WHEN $5 THEN views_today END DESC, views DESC, page";

/// The overview of `selection`. This reads all its pages, which takes the database 0.2 s for
/// 100,000 of them.
///
/// # Errors
/// The database did not answer.
pub async fn read(
    executor: impl PgExecutor<'_>,
    selection: &Selection,
    order: Order,
) -> Result<Overview, sqlx::Error> {
    let (first, end) = bounds(selection);
    let rows = sqlx::query(READ)
        .bind(first)
        .bind(end)
        .bind(&selection.names)
        .bind(&selection.prefixes)
        .bind(order == Order::Today)
        .bind(MAX_PAGES)
        .bind(DAYS as i32)
        .fetch_all(executor)
        .await?;
    let Some(row) = rows.first() else {
        return Ok(Overview::default());
    };
    let count = |row: &PgRow, views, today| {
        Ok::<_, sqlx::Error>(Count {
            views: row.try_get(views)?,
            today: row.try_get(today)?,
        })
    };
    let page = |row: &PgRow| {
        Ok(Page {
            name: row.try_get("page")?,
            count: count(row, "views", "views_today")?,
            days: row.try_get("days")?,
        })
    };
    Ok(Overview {
        pages: row.try_get("pages")?,
        total: count(row, "total", "total_today")?,
        first: rows.iter().map(page).collect::<Result<_, sqlx::Error>>()?,
    })
}
