//! The peers of the benchmark: the real application with three more routes. Whatever it does for `/` besides
//! counting (fairings, catchers, templates, configuration, logging) it does for these too.

use std::env;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pageviews::config::Config;
use pageviews::database::Server;
use pageviews::drawing::{Drawing, Whole};
use pageviews::views::history::{Day, History};
use rocket::response::Debug;
use rocket::tokio::runtime;
use rocket::{State, get, routes};
use rocket_dyn_templates::Metadata;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

type Result<T, E = Debug<sqlx::Error>> = std::result::Result<T, E>;

/// Views of the page that no database counts.
struct InMemory(AtomicI64);

/// No database: what Rocket and the template cost alone, which no counter in this application can beat.
#[get("/page")]
fn page(views: &State<InMemory>, templates: Metadata<'_>) -> Whole {
    render(views.0.fetch_add(1, Ordering::Relaxed) + 1, &templates)
}

/// One UPDATE of one hot row per view.
#[get("/update")]
async fn update(pool: &State<PgPool>, templates: Metadata<'_>) -> Result<Whole> {
    // Not fetch_one: it returns with the first row, which is sent before the commit.
    let rows: Vec<i64> = sqlx::query_scalar(
        "UPDATE pages SET views = views + 1 WHERE page = '/peers/update' RETURNING views",
    )
    .fetch_all(pool.inner())
    .await?;
    let number = rows.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    Ok(render(number, &templates))
}

/// One row per view, and a COUNT(*) of them all.
#[get("/insert")]
async fn insert(pool: &State<PgPool>, templates: Metadata<'_>) -> Result<Whole> {
    let mut connection = pool.acquire().await?;
    sqlx::query("INSERT INTO peer_views (page) VALUES ('/peers/insert')")
        .execute(&mut *connection)
        .await?;
    let number = sqlx::query_scalar("SELECT count(*) FROM peer_views")
        .fetch_one(&mut *connection)
        .await?;
    drop(connection);
    Ok(render(number, &templates))
}

/// The page as ours is, but that its history is made up, and drawn once.
fn render(number: i64, templates: &Metadata<'_>) -> Whole {
    static DRAWING: OnceLock<Drawing> = OnceLock::new();
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
        Drawing::of(Some(&history), &database, "peers", templates).expect("the templates render")
    };
    DRAWING.get_or_init(draw).page(number)
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
            .manage(InMemory(AtomicI64::new(0)))
            .manage(pool)
            .mount("/peers", routes![page, update, insert]);
        rocket.launch().await.map(drop).map_err(|e| e.to_string())
    })
}
