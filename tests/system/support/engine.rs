//! The engine that counts, without the web server around it.

use std::sync::Arc;

pub use pageviews::page::Page;
pub use pageviews::views::{Settings, Uncounted, Views};
use rocket::tokio;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::eventually_async;

/// A replica's engine, ready to count in the database at `url`.
pub async fn engine(url: &str) -> Arc<Views> {
    engine_with(Settings::default(), url).await
}

/// The same, with these settings.
pub async fn engine_with(settings: Settings, url: &str) -> Arc<Views> {
    let (views, engine) = Views::new(settings);
    let options = url
        .parse::<PgConnectOptions>()
        .unwrap()
        .application_name("pageviews");
    tokio::spawn(engine.run(options, std::future::pending()));
    eventually_async("readiness", async || views.readiness().server().is_ok()).await;
    Arc::new(views)
}

/// Locks the row of the page `/`, so that no batch with it can commit until this is [`release`]d.
pub async fn hold_home(url: &str) -> PgConnection {
    let mut holder = super::connect(url).await;
    let lock = sqlx::raw_sql("BEGIN; SELECT FROM pages WHERE page = '/' FOR UPDATE");
    lock.execute(&mut holder).await.unwrap();
    holder
}

/// Ends what [`hold_home`] began.
pub async fn release(mut holder: PgConnection) {
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
}
