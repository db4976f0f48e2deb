//! The peers of the benchmark: the real application with three more routes. Whatever it does for `/` besides
//! counting (fairings, catchers, templates, configuration, logging) it does for these too.

use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pageviews::config::Config;
use rocket::response::Debug;
use rocket::tokio::runtime;
use rocket::{State, get, routes};
use rocket_dyn_templates::{Template, context};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

type Result<T, E = Debug<sqlx::Error>> = std::result::Result<T, E>;

/// Views of the page that no database counts.
struct InMemory(AtomicI64);

/// No database: what Rocket and the template cost alone, which no counter in this application can beat.
#[get("/page")]
fn page(views: &State<InMemory>) -> Template {
    render("/peers/page", views.0.fetch_add(1, Ordering::Relaxed) + 1)
}

/// One UPDATE of one hot row per view.
#[get("/update")]
async fn update(pool: &State<PgPool>) -> Result<Template> {
    // Not fetch_one: it returns with the first row, which is sent before the commit.
    let rows: Vec<i64> = sqlx::query_scalar(
        "UPDATE pages SET views = views + 1 WHERE page = '/peers/update' RETURNING views",
    )
    .fetch_all(pool.inner())
    .await?;
    let number = rows.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    Ok(render("/peers/update", number))
}

/// One row per view, and a COUNT(*) of them all.
#[get("/insert")]
async fn insert(pool: &State<PgPool>) -> Result<Template> {
    let mut connection = pool.acquire().await?;
    sqlx::query("INSERT INTO peer_views (page) VALUES ('/peers/insert')")
        .execute(&mut *connection)
        .await?;
    let number = sqlx::query_scalar("SELECT count(*) FROM peer_views")
        .fetch_one(&mut *connection)
        .await?;
    drop(connection);
    Ok(render("/peers/insert", number))
}

fn render(page: &str, number: i64) -> Template {
    let database = context! { name: "pageviews", version: "15" };
    Template::render(
        "home",
        context! { page, number, replica: "peers", database },
    )
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
