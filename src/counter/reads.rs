//! What visitors ask about past views. Each question has a time limit, and a visitor who asks too
//! much is told so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rocket::tokio::time;
use sqlx::PgConnection;

use super::history::{self, History, Unlisted};
use super::overview::{self, Order, Overview};
use super::totals::{self, Count};
use super::{Counter, ReadError};
use crate::database::{self, Pool};
use crate::page::{AllowedPages, PageName, Selection};

/// How long the database may take to answer a question about past views.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

impl Counter {
    /// The history of `page`, read over a connection of `pool`.
    ///
    /// # Errors
    /// The database cannot be used, or has too much to do.
    pub async fn history(&self, pool: &Pool, page: &PageName) -> Result<History, ReadError> {
        let read = async |database: &mut PgConnection| history::read(database, page).await;
        self.read(pool, read).await
    }

    /// How often `page` was viewed, read over a connection of `pool`.
    ///
    /// # Errors
    /// The database cannot be used, or has too much to do.
    pub async fn views(&self, pool: &Pool, page: &PageName) -> Result<i64, ReadError> {
        let counts = self.counts(pool, &[page.as_str()]).await?;
        Ok(counts.get(page.as_str()).map_or(0, |count| count.views))
    }

    /// The counts of those of `pages` that were ever counted, read over a connection of `pool`.
    ///
    /// # Errors
    /// The database cannot be used, or has too much to do.
    pub async fn counts(
        &self,
        pool: &Pool,
        pages: &[&str],
    ) -> Result<BTreeMap<String, Count>, ReadError> {
        if pages.is_empty() {
            return Ok(BTreeMap::new());
        }
        let read = async |database: &mut PgConnection| totals::of_each(database, pages).await;
        self.read(pool, read).await
    }

    /// The count of all `pages` of `pattern` together, read over a connection of `pool`. A search
    /// for it may have begun a second ago.
    ///
    /// # Errors
    /// The database cannot be used, or has too much to do.
    pub async fn pattern_count(
        &self,
        pool: &Pool,
        pattern: &str,
        pages: Selection,
    ) -> Result<Count, ReadError> {
        self.readiness.wait().await?;
        let find = || {
            let pool = pool.clone();
            let read =
                async move |database: &mut PgConnection| totals::of_all(database, &pages).await;
            async move { ask(&pool, read).await.ok() }
        };
        let count = self.patterns.get(pattern.into(), find);
        count.await.ok_or_else(|| self.unanswered())
    }

    /// The overview of `pages`, read over a connection of `pool`. A search for it may have begun
    /// five seconds ago.
    ///
    /// # Errors
    /// The database cannot be used, or has too much to do.
    pub async fn overview(
        &self,
        pool: &Pool,
        pages: Selection,
        order: Order,
    ) -> Result<Arc<Overview>, ReadError> {
        self.readiness.wait().await?;
        let find = || {
            let pool = pool.clone();
            let read = async move |database: &mut PgConnection| {
                overview::read(database, &pages, order).await
            };
            async move { ask(&pool, read).await.ok().map(Arc::new) }
        };
        let overview = self.overviews.get(order, find);
        overview.await.ok_or_else(|| self.unanswered())
    }

    /// Limits several reads together to the time that one may take.
    ///
    /// # Errors
    /// A read failed, or they take too long.
    pub async fn in_time<T>(
        &self,
        reads: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        self.readiness.wait().await?;
        let read = time::timeout(READ_TIMEOUT, reads).await;
        read.unwrap_or_else(|_| Err(self.unanswered()))
    }

    /// The pages with views that are not among `allowed`, read over a connection of `pool`.
    ///
    /// # Errors
    /// The database cannot be used, or has too much to do.
    pub async fn unlisted(
        &self,
        pool: &Pool,
        allowed: &AllowedPages,
    ) -> Result<Unlisted, ReadError> {
        let read = async |database: &mut PgConnection| history::unlisted(database, allowed).await;
        self.read(pool, read).await
    }

    async fn read<T>(
        &self,
        pool: &Pool,
        read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, ReadError> {
        self.readiness.wait().await?;
        ask(pool, read).await.map_err(|_| self.unanswered())
    }

    /// Why past views were not read. A visitor can ask too much, and a replica that can count must
    /// not seem unable to for that.
    fn unanswered(&self) -> ReadError {
        match self.readiness.last_known() {
            Ok(()) => ReadError::Busy,
            Err(reason) => ReadError::NotReady(reason),
        }
    }
}

/// Reads past views over a connection of `pool`.
async fn ask<T>(
    pool: &Pool,
    read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, database::Error> {
    let read = database::query(pool, READ_TIMEOUT, read).await;
    read.inspect_err(|error| log::debug!("past views were not read: {error}"))
}
