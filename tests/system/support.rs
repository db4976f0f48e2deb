//! What the tests share: a PostgreSQL server with a database for each test, the application in this
//! process, and the real binary as a child.

mod app;
pub mod clock;
pub mod engine;
pub mod pair;
pub mod proxy;
pub mod tls;
pub mod visitors;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pageviews::config::{Config, Profile};
use private_postgres::PrivatePostgres;
use rocket::local::asynchronous::Client;
use rocket::tokio::{select, time};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub use self::app::{App, ask, binary, copy_templates, deployed, output, run};
use crate::SOON;
use crate::common::answer;

/// One server for all tests of this process. The server ends with the process.
static SERVER: LazyLock<PrivatePostgres> = LazyLock::new(|| PrivatePostgres::ephemeral().unwrap());

/// The URL of a new, empty database.
pub async fn database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = connect(&SERVER.url("postgres")).await;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut admin)
        .await
        .unwrap();
    SERVER.url(&name)
}

pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Runs `future` in a test that is not async.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    rocket::tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(future)
}

/// Waits until `condition` holds. Panics after `SOON`.
pub async fn eventually_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + SOON;
    while !soon(what, condition()).await {
        assert!(Instant::now() < give_up, "waited {SOON:?} in vain: {what}");
        time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for `future`. Panics after `SOON`.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = time::timeout(SOON, future).await;
    waited.unwrap_or_else(|_| panic!("waited {SOON:?} in vain: {what}"))
}

/// Makes every statement that uses `table` wait, until the connection ends.
pub async fn lock(url: &str, table: &str) -> PgConnection {
    let mut locked = connect(url).await;
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; LOCK TABLE {table}")))
        .execute(&mut locked)
        .await
        .unwrap();
    locked
}

/// Awaits `requests`, and returns with their outcome how many statements that are like `text` the
/// database at `url` worked on at most at the same time.
pub async fn most_asking<T>(url: &str, text: &str, requests: impl Future<Output = T>) -> (T, i64) {
    let mut admin = connect(url).await;
    let mut most = 0;
    let watch = async {
        loop {
            let asking = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE $1 AND state = 'active'
                    AND pid <> pg_backend_pid()",
            );
            let asking = asking.bind(text).fetch_one(&mut admin).await;
            most = most.max(asking.unwrap());
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = select! {
        outcome = requests => outcome,
        never = watch => never,
    };
    (outcome, most)
}

/// Waits until so many statements wait for a lock in the database at `url`.
pub async fn until_locked(url: &str, statements: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let mut admin = connect(url).await;
    eventually_async("statements wait for a lock", async || {
        let waiting = sqlx::query_scalar::<_, i64>(waiting);
        waiting.fetch_one(&mut admin).await.unwrap() >= statements
    })
    .await;
}

/// The value of a setting of PostgreSQL.
pub async fn setting(connection: &mut PgConnection, name: &str) -> String {
    let setting = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
    setting.fetch_one(connection).await.unwrap()
}

/// How often `page` was counted, read from the database.
pub async fn counted(url: &str, page: &str) -> i64 {
    sqlx::query_scalar("SELECT coalesce((SELECT views FROM pages WHERE page = $1), 0)")
        .bind(page)
        .fetch_one(&mut connect(url).await)
        .await
        .unwrap()
}

/// How many pages have a row.
pub async fn rows(url: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pages")
        .fetch_one(&mut connect(url).await)
        .await
        .unwrap()
}

/// How often each page with a row was counted.
pub async fn counts(url: &str) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT page, views FROM pages")
        .fetch_all(&mut connect(url).await)
        .await
        .unwrap();
    rows.into_iter().collect()
}

/// The configuration of a developer's machine, with the database at `url`.
pub fn config(url: &str) -> Config {
    let config = Config::for_profile(Profile::Dev).unwrap();
    config.with_database_url(url).unwrap()
}

/// The application in this process, which is ready and uses the database at `url`.
pub async fn client(url: &str) -> Client {
    client_of(url, &[]).await
}

/// The same application, which also counts `pages`.
pub async fn client_of(url: &str, pages: &[&str]) -> Client {
    client_with(&config_of(url, pages)).await
}

/// The same configuration, which also counts `pages`.
pub fn config_of(url: &str, pages: &[&str]) -> Config {
    let mut config = config(url);
    let pages: Vec<_> = pages.iter().map(|page| page.to_string()).collect();
    config.pages = pages.try_into().unwrap();
    config
}

/// The application with this configuration, ready.
pub async fn client_with(config: &Config) -> Client {
    let rocket = pageviews::rocket(config).unwrap();
    let client = Client::untracked(rocket).await.unwrap();
    eventually_async("readiness", async || {
        client.get("/readyz").dispatch().await.status().code == 200
    })
    .await;
    client
}

/// Visits the page and returns its HTML.
pub async fn page(client: &Client) -> String {
    let answer = client.get("/").dispatch().await;
    answer.into_string().await.unwrap()
}

/// The number that a page shows.
pub fn number(html: &str) -> i64 {
    answer::number(html).unwrap_or_else(|| panic!("there is no number in {html}"))
}
