//! The peers of the benchmark: the real application with three more routes. Fairings, catchers,
//! templates, configuration and logging are the same for `/` and for these.

use std::env;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pageviews::config::Config;
use pageviews::counter::history::{Day, History};
use pageviews::database::Server;
use pageviews::web::home::cached_page::{CachedPage, CachedPages, SingleChunk};
use rocket::response::Debug;
use rocket::tokio::runtime;
use rocket::{State, get, routes};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

type Result<T, E = Debug<sqlx::Error>> = std::result::Result<T, E>;

/// Views of the page that no database counts.
struct InMemory(AtomicI64);

/// No database: the cost of Rocket and the template alone, which no counter here can beat.
#[get("/page")]
fn page(views: &State<InMemory>, pages: &State<CachedPages>) -> SingleChunk {
    render(views.0.fetch_add(1, Ordering::Relaxed) + 1, pages)
}

/// One UPDATE of one hot row per view.
#[get("/update")]
async fn update(pool: &State<PgPool>, pages: &State<CachedPages>) -> Result<SingleChunk> {
    // Not fetch_one: it returns with the first row, which is sent before the commit.
    let rows: Vec<i64> = sqlx::query_scalar(
        "UPDATE pages SET views = views + 1 WHERE page = '/peers/update' RETURNING views",
    )
    .fetch_all(pool.inner())
    .await?;
    let number = rows.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    Ok(render(number, pages))
}

/// One row per view, and a COUNT(*) of them all.
#[get("/insert")]
async fn insert(pool: &State<PgPool>, pages: &State<CachedPages>) -> Result<SingleChunk> {
    let mut connection = pool.acquire().await?;
    sqlx::query("INSERT INTO peer_views (page) VALUES ('/peers/insert')")
        .execute(&mut *connection)
        .await?;
    let number = sqlx::query_scalar("SELECT count(*) FROM peer_views")
        .fetch_one(&mut *connection)
        .await?;
    drop(connection);
    Ok(render(number, pages))
}

/// The page of the application, with a history that is made up and drawn once.
fn render(number: i64, pages: &CachedPages) -> SingleChunk {
    static PAGE: OnceLock<CachedPage> = OnceLock::new();
    let draw = || {
        let day = |day: i64| Day {
            day: format!("2026-10-{day:02}"),
            views: day * 1_000,
        };
        let history = History {
            views: 0,
            days: (1..=30).map(day).collect(),
        };
        let database = Server {
            name: "pageviews".into(),
            version: "15".into(),
        };
        pages
            .draw(Some(&history), &database)
            .expect("the templates render")
    };
    PAGE.get_or_init(draw)
        .with_number(number)
        .expect("the template renders")
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("peers: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Serves on the same runtime as `pageviews` does.
fn serve() -> Result<(), String> {
    let config = Config::load().map_err(|e| e.to_string())?;
    let url = env::var("DATABASE_URL").map_err(|e| format!("DATABASE_URL: {e}"))?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(config.server.workers)
        .max_blocking_threads(config.server.max_blocking)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        // As many connections as rocket_db_pools takes by default.
        let connections = u32::try_from(config.server.workers * 4).unwrap_or(u32::MAX);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            // 1,024 visitors wait longer than any of ours may.
            .acquire_timeout(Duration::from_secs(60))
            .connect_lazy(&url)
            .map_err(|e| e.to_string())?;
        let rocket = pageviews::rocket(&config)
            .map_err(|e| e.to_string())?
            .manage(InMemory(AtomicI64::new(0)))
            .manage(pool)
            .mount("/peers", routes![page, update, insert]);
        rocket.launch().await.map(drop).map_err(|e| e.to_string())
    })
}
