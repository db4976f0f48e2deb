//! The engine that counts, without the web server around it.

use std::num::NonZeroU16;
use std::sync::Arc;

pub use pageviews::config::{Counting, Limits};
pub use pageviews::counter::{CountError, Counter};
use pageviews::metrics::Metrics;
pub use pageviews::page::PageName;
use rocket::tokio;
use sqlx::PgConnection;

use super::eventually_async;

/// A replica's engine, which is ready and uses the database at `url`.
pub async fn engine(url: &str) -> Arc<Counter> {
    engine_with(Limits::default(), url).await
}

/// The same engine, whose visitors wait long enough for a slow database, or a slow machine.
pub async fn patient_engine(url: &str) -> Arc<Counter> {
    let limits = Limits {
        deadline: const { NonZeroU16::new(25).unwrap() },
        ..Limits::default()
    };
    engine_with(limits, url).await
}

/// The same engine with these limits.
pub async fn engine_with(limits: Limits, url: &str) -> Arc<Counter> {
    engine_of(limits, Counting::default(), url).await
}

/// The same engine with these settings.
pub async fn engine_of(limits: Limits, counting: Counting, url: &str) -> Arc<Counter> {
    let (views, engine, _) = Counter::new(limits, counting, Arc::new(Metrics::new().unwrap()));
    let database = super::config(url).database().unwrap().clone();
    tokio::spawn(engine.run(database, std::future::pending()));
    eventually_async("readiness", async || views.readiness().current().is_ok()).await;
    Arc::new(views)
}

/// Locks the row of `page`, which it makes if there is none. No batch with this page can commit
/// before [`release`].
pub async fn hold(url: &str, page: &str) -> PgConnection {
    let mut holder = super::connect(url).await;
    let make = sqlx::query("INSERT INTO pages VALUES ($1, 0) ON CONFLICT DO NOTHING");
    make.bind(page).execute(&mut holder).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut holder).await.unwrap();
    let lock = sqlx::query("SELECT FROM pages WHERE page = $1 FOR UPDATE");
    lock.bind(page).execute(&mut holder).await.unwrap();
    holder
}

/// Gives up the lock of [`hold`].
pub async fn release(mut holder: PgConnection) {
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
}
