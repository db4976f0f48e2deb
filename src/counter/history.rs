//! What was counted, read back: totals, and the views of each day.

use std::fmt;
use std::time::Duration;

use rocket::futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, Row};

use crate::page::{AllowedPages, PageName};

/// How many days a history has, with today.
pub const DAYS: usize = 30;

/// How many [`Unlisted::examples`] there are at most.
const MAX_EXAMPLES: i64 = 5;

/// The views of a page.
#[derive(Clone, Debug)]
pub struct History {
    /// All views.
    pub views: i64,
    /// The views of the last [`DAYS`] days, oldest first. The last day is today.
    pub days: Vec<Day>,
    /// The time zone in which the last day is today.
    pub time_zone: String,
    /// How long today still lasts.
    pub rest_of_today: Duration,
}

impl History {
    /// The views of today.
    pub fn today(&self) -> i64 {
        self.days.last().map_or(0, |day| day.views)
    }
}

/// The views of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The day, such as `2026-11-23`.
    pub day: String,
    /// Its views.
    pub views: i64,
}

/// The page $1 on each of the last $2 days. The table `days` holds the views before the first view
/// of a day, so the views of a day are the difference to the next day that has a row. `LIMIT` tells
/// the planner that `settings` has one row.
const READ: &str = "
    WITH today AS (
        SELECT (now() AT TIME ZONE time_zone)::date AS today, time_zone
        FROM settings LIMIT 1
    ), total AS (
        SELECT coalesce((SELECT views FROM pages WHERE page = $1), 0) AS total
    ), counted AS (
        SELECT day, lead(views_before, 1, total) OVER (ORDER BY day) - views_before AS views
        FROM days, today, total WHERE page = $1 AND day > today - $2
    )
    SELECT total, time_zone,
        extract(epoch FROM (today + 1)::timestamp AT TIME ZONE time_zone - now())::float8 AS rest,
        to_char(shown.day, 'YYYY-MM-DD') AS day, coalesce(views, 0) AS views
    FROM today, total, generate_series(0, $2 - 1) AS ago,
        LATERAL (SELECT today - ago AS day) AS shown
    LEFT JOIN counted USING (day)
    ORDER BY shown.day";

/// The history of `page`: all zeros if it was never counted.
///
/// # Errors
/// The database did not answer.
pub async fn read(executor: impl PgExecutor<'_>, page: &PageName) -> Result<History, sqlx::Error> {
    let query = sqlx::query(READ).bind(page.as_str()).bind(DAYS as i32);
    let rows = query.fetch_all(executor).await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let (views, time_zone) = (first.try_get("total")?, first.try_get("time_zone")?);
    let rest: f64 = first.try_get("rest")?;
    let day = |row: &sqlx::postgres::PgRow| {
        Ok(Day {
            day: row.try_get("day")?,
            views: row.try_get("views")?,
        })
    };
    let days = rows.iter().map(day).collect::<Result<_, sqlx::Error>>()?;
    Ok(History {
        views,
        days,
        time_zone,
        rest_of_today: Duration::try_from_secs_f64(rest).unwrap_or_default(),
    })
}

/// Rows as the database sends them, so that a million of them need no memory.
pub type Rows<'e, T> = BoxStream<'e, Result<T, sqlx::Error>>;

/// Every page that was ever counted, by name, with its views and the views of today.
pub fn all<'e>(executor: impl PgExecutor<'e> + 'e) -> Rows<'e, (String, i64, i64)> {
    sqlx::query_as(
        "SELECT page, views, coalesce(views - views_before, 0) FROM pages LEFT JOIN (
            SELECT * FROM days
            WHERE day = (now() AT TIME ZONE (SELECT time_zone FROM settings))::date
        ) AS today USING (page) ORDER BY page",
    )
    .fetch(executor)
}

/// The views of the page $1, or of every page if that is null, on each day that had any. A row
/// without a day holds the views from before all days, such as those that were set.
const EACH_DAY: &str = "
    SELECT page, to_char(day, 'YYYY-MM-DD') AS day, views FROM (
        SELECT page, day,
            lead(views_before, 1, views) OVER (PARTITION BY page ORDER BY day) - views_before
                AS views
        FROM days JOIN pages USING (page) WHERE $1::text IS NULL OR page = $1
        UNION ALL
        SELECT page, NULL, coalesce(first.views_before, views)
        FROM pages LEFT JOIN LATERAL (
            SELECT views_before FROM days WHERE days.page = pages.page ORDER BY day LIMIT 1
        ) AS first ON true
        WHERE ($1 IS NULL OR page = $1) AND coalesce(first.views_before, views) > 0
    ) AS each ORDER BY page, each.day NULLS FIRST";

/// The views of every page on each day that had any, by name and day, after those of no day. They
/// add up to all views.
pub fn all_days<'e>(executor: impl PgExecutor<'e> + 'e) -> Rows<'e, (String, Option<String>, i64)> {
    sqlx::query_as(EACH_DAY).bind(None::<&str>).fetch(executor)
}

/// The same of one page.
///
/// # Errors
/// The database did not answer.
pub async fn days_of(
    executor: impl PgExecutor<'_>,
    page: &str,
) -> Result<Vec<(String, Option<String>, i64)>, sqlx::Error> {
    let days = sqlx::query_as(EACH_DAY).bind(Some(page));
    days.fetch_all(executor).await
}

/// Today, such as `2026-11-23`, in the time zone of the days.
///
/// # Errors
/// The database did not answer.
pub async fn today(executor: impl PgExecutor<'_>) -> Result<String, sqlx::Error> {
    let today = "SELECT to_char(now() AT TIME ZONE time_zone, 'YYYY-MM-DD') FROM settings";
    sqlx::query_scalar(today).fetch_one(executor).await
}

/// The last day that a page has views of, if it is still to come: the database's clock was ahead.
/// Tomorrow is no such day, because it may have been today in another time zone.
///
/// # Errors
/// The database did not answer.
pub async fn future_day(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT to_char(max(last_day), 'YYYY-MM-DD') FROM pages
         WHERE last_day > (now() AT TIME ZONE (SELECT time_zone FROM settings))::date + 1",
    )
    .fetch_one(connection)
    .await
}

/// Pages that have views and that no setting names, so that they are not counted any more.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Unlisted {
    /// How many.
    pub count: i64,
    /// The first of them, by name.
    pub examples: Vec<String>,
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let examples = self.examples.join(", ");
        let more = self.count - self.examples.len() as i64;
        write!(f, "no setting names these pages with views: {examples}")?;
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        write!(f, "; add them to ROCKET_PAGES to count them again")
    }
}

/// The number of pages with views that are not among the names $1 and start with none of the texts
/// $2, and the first $3 of these pages.
const UNLISTED: &str = "
    WITH unlisted AS (
        SELECT page FROM pages WHERE views > 0 AND page <> ALL ($1)
            AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS start WHERE starts_with(page, start))
    )
    SELECT (SELECT count(*) FROM unlisted),
        ARRAY(SELECT page FROM unlisted ORDER BY page LIMIT $3)";

/// The pages with views that are not among `allowed`.
///
/// # Errors
/// The database did not answer.
pub async fn unlisted(
    executor: impl PgExecutor<'_>,
    allowed: &AllowedPages,
) -> Result<Unlisted, sqlx::Error> {
    let listed = allowed.all();
    let query = sqlx::query_as(UNLISTED)
        .bind(&listed.names)
        .bind(&listed.prefixes)
        .bind(MAX_EXAMPLES);
    let (count, examples) = query.fetch_one(executor).await?;
    Ok(Unlisted { count, examples })
}
