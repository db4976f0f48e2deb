//! What an operator changes: sets the count of a page, imports views, and renames or deletes pages.
//!
//! Each of these is one transaction. It locks rows of pages by name, and then their days, as the
//! replicas do. A short one first locks the row that counts the pages, as a replica does that makes
//! a page: see [`change`]. An import does so in another transaction after its end: replicas would
//! wait for the row, and the import for a replica that waits for one of its pages.

use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::{history, ledger, settings};
use crate::page::PageName;

/// The largest number that a page may be set to. Scripts read integers exactly up to 2^53, and
/// this leaves room to count on.
pub const MAX_VIEWS: i64 = 1_000_000_000_000_000;

/// Views of one page that it did not have until now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added<'a> {
    /// The page.
    pub page: &'a str,
    /// The day, such as `2026-11-23`. `None` is before all days.
    pub day: Option<&'a str>,
    /// How many views. No two of these have the same page and day.
    pub views: i64,
}

/// A transaction that moves views. Without a commit nothing changes.
pub struct Moves<'c>(Transaction<'c, Postgres>);

/// What became of a [`Moves::set`].
#[derive(Debug, PartialEq, Eq)]
pub enum Set {
    /// The page counts on from the new number.
    Done {
        /// The views before.
        before: i64,
    },
    /// Nothing was changed, because numbers would be shown a second time.
    Refused {
        /// The views now.
        now: i64,
    },
}

/// What became of a [`Moves::rename`].
#[derive(Debug, PartialEq, Eq)]
pub enum Renamed {
    /// The new page has so many views now.
    Done {
        /// All its views.
        views: i64,
        /// How many of them it had before.
        before: i64,
    },
    /// There is no such page.
    Missing,
}

/// Adds $3 views on the days $2 to the pages $1, whose rows are locked. The views of a day come
/// after all views of days before it, also in `views_before` of days that exist: see `READ` in
/// `history.rs`.
const ADD: &str = "
    WITH added AS (
        SELECT page, day::date AS day, views
        FROM unnest($1::text[], $2::text[], $3::bigint[]) AS added (page, day, views)
    ), whole AS (
        SELECT page, sum(views)::bigint AS views,
            coalesce(sum(views) FILTER (WHERE day IS NULL), 0) AS of_no_day
        FROM added GROUP BY page
    ), opened AS (
        SELECT page, day, days.views_before, coalesce(added.views, 0) AS added
        FROM (SELECT * FROM added WHERE day IS NOT NULL) AS added
            FULL JOIN (SELECT * FROM days WHERE page = ANY ($1)) AS days USING (page, day)
    ), merged AS (
        SELECT page, day, (
            coalesce(min(views_before) OVER (
                PARTITION BY page ORDER BY day ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            ), pages.views)
            + whole.of_no_day + sum(added) OVER (PARTITION BY page ORDER BY day) - added
        )::bigint AS views_before
        FROM opened JOIN pages USING (page) JOIN whole USING (page)
    ), last AS (
        SELECT DISTINCT ON (page) * FROM merged ORDER BY page, day DESC
    ), dated AS (
        INSERT INTO days (page, day, views_before) SELECT * FROM merged ORDER BY page, day
        ON CONFLICT (page, day) DO UPDATE SET views_before = excluded.views_before
    )
    UPDATE pages SET views = pages.views + whole.views,
        last_day = coalesce(last.day, last_day),
        views_before_last_day = coalesce(last.views_before, pages.views + whole.views)
    FROM whole LEFT JOIN last USING (page) WHERE pages.page = whole.page";

/// Does `work`, which has to be short, and makes it durable: [`Moves::set`], [`Moves::rename`] and
/// [`Moves::delete`] belong in here.
///
/// # Errors
/// The database did not confirm, or `work` failed.
pub async fn change<T>(
    connection: &mut PgConnection,
    work: impl AsyncFnOnce(&mut Moves<'_>) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let mut moves = Moves::begin(connection).await?;
    settings::count_pages(&mut moves.0).await?;
    let done = work(&mut moves).await?;
    settings::count_pages(&mut moves.0).await?;
    moves.commit().await?;
    Ok(done)
}

impl<'c> Moves<'c> {
    /// Begins.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn begin(connection: &'c mut PgConnection) -> Result<Self, sqlx::Error> {
        Ok(Self(connection.begin().await?))
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// The database did not confirm.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.commit().await
    }

    /// How many pages there are now.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn pages(&mut self) -> Result<i64, sqlx::Error> {
        let count = sqlx::query_scalar("SELECT count(*) FROM pages");
        count.fetch_one(&mut *self.0).await
    }

    /// Makes `pages`, which are in order, as far as they do not exist. Returns their views.
    /// Nobody else changes them until the end.
    ///
    /// # Errors
    /// The database did not answer, or a page is locked.
    pub async fn lock(&mut self, pages: &[&str]) -> Result<Vec<i64>, sqlx::Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "INSERT INTO pages AS p (page, views)
             SELECT page, 0 FROM unnest($1::text[]) AS locked (page) ORDER BY page COLLATE \"C\"
             ON CONFLICT (page) DO UPDATE SET views = p.views RETURNING page, views",
        )
        .bind(pages)
        .fetch_all(&mut *self.0)
        .await?;
        Ok(rows.into_iter().map(|(_, views)| views).collect())
    }

    /// Adds views to pages that are [locked](Moves::lock).
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn add(&mut self, added: &[Added<'_>]) -> Result<(), sqlx::Error> {
        sqlx::query(ADD)
            .bind(added.iter().map(|added| added.page).collect::<Vec<_>>())
            .bind(added.iter().map(|added| added.day).collect::<Vec<_>>())
            .bind(added.iter().map(|added| added.views).collect::<Vec<_>>())
            .persistent(false)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Lets `page` count on from `views`, which may be less than it has only with `repeat_numbers`.
    /// Its days keep their views. If too few are left, the oldest days lose theirs.
    ///
    /// # Errors
    /// The database did not answer, or the page is locked.
    pub async fn set(
        &mut self,
        page: &PageName,
        views: i64,
        repeat_numbers: bool,
    ) -> Result<Set, sqlx::Error> {
        // Locked before the look, so that nobody counts the page between this and the change.
        let before = self.lock(&[page.as_str()]).await?.into_iter().sum();
        if views < before && !repeat_numbers {
            return Ok(Set::Refused { now: before });
        }
        sqlx::query(
            "WITH moved AS (
                UPDATE days SET views_before = greatest(views_before + $2 - $3, 0) WHERE page = $1
            )
            UPDATE pages SET views = $2,
                views_before_last_day = greatest(views_before_last_day + $2 - $3, 0)
            WHERE page = $1 RETURNING pg_notify($4, page)",
        )
        .bind(page.as_str())
        .bind(views)
        .bind(before)
        .bind(ledger::CHANNEL)
        .execute(&mut *self.0)
        .await?;
        Ok(Set::Done { before })
    }

    /// Moves all views of the page `old` to the page `new`, which may have views already.
    ///
    /// # Errors
    /// The database did not answer, or its role may not delete.
    pub async fn rename(&mut self, old: &PageName, new: &PageName) -> Result<Renamed, sqlx::Error> {
        let (old, new) = (old.as_str(), new.as_str());
        let both: Vec<(String, i64)> = sqlx::query_as(
            "SELECT page, views FROM pages WHERE page IN ($1, $2) ORDER BY page FOR UPDATE",
        )
        .bind(old)
        .bind(new)
        .fetch_all(&mut *self.0)
        .await?;
        let views_of = |name: &str| {
            both.iter()
                .find(|(page, _)| page == name)
                .map(|page| page.1)
        };
        let Some(moved) = views_of(old) else {
            return Ok(Renamed::Missing);
        };
        let Some(before) = views_of(new) else {
            for rename in [
                "UPDATE pages SET page = $2 WHERE page = $1",
                "UPDATE days SET page = $2 WHERE page = $1",
            ] {
                sqlx::query(rename)
                    .bind(old)
                    .bind(new)
                    .execute(&mut *self.0)
                    .await?;
            }
            return Ok(Renamed::Done {
                views: moved,
                before: 0,
            });
        };
        let days = history::days_of(&mut *self.0, old).await?;
        let added = days.iter().map(|(_, day, views)| Added {
            page: new,
            day: day.as_deref(),
            views: *views,
        });
        let added: Vec<_> = added.collect();
        self.add(&added).await?;
        self.delete_rows(old).await?;
        Ok(Renamed::Done {
            views: before + moved,
            before,
        })
    }

    /// Forgets a page. Returns the views that it had, or `None` if there is no such page.
    ///
    /// A replica that has counted the page remembers that it exists. If it is viewed again, that
    /// replica makes it without a look at the limit on the number of pages.
    ///
    /// # Errors
    /// The database did not answer, or its role may not delete.
    pub async fn delete(&mut self, page: &PageName) -> Result<Option<i64>, sqlx::Error> {
        let views = sqlx::query_scalar("SELECT views FROM pages WHERE page = $1 FOR UPDATE")
            .bind(page.as_str())
            .fetch_optional(&mut *self.0)
            .await?;
        if views.is_some() {
            self.delete_rows(page.as_str()).await?;
        }
        Ok(views)
    }

    async fn delete_rows(&mut self, page: &str) -> Result<(), sqlx::Error> {
        for delete in [
            "DELETE FROM pages WHERE page = $1",
            "DELETE FROM days WHERE page = $1",
        ] {
            sqlx::query(delete).bind(page).execute(&mut *self.0).await?;
        }
        Ok(())
    }
}
