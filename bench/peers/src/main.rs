//! The peers of the benchmark: the real application with four more routes. Fairings, catchers,
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
use pageviews::web::home::gzip::ReadsGzip;
use pageviews::web::visit::Count;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError};
use rocket::http::Method;
use rocket::response::Debug;
use rocket::tokio::runtime;
use rocket::{State, get, routes};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

type Result<T, E = Debug<sqlx::Error>> = std::result::Result<T, E>;

/// How long a view may wait for a database: 1,024 visitors wait longer than any of ours may.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Views of the page that no database counts.
struct InMemory(AtomicI64);

/// No database: the cost of Rocket and the template alone, which no counter here can beat.
#[get("/page")]
fn page(views: &State<InMemory>, pages: &State<CachedPages>, gzip: ReadsGzip) -> SingleChunk {
    render(views.0.fetch_add(1, Ordering::Relaxed) + 1, pages, &gzip)
}

/// One UPDATE of one hot row per view.
#[get("/update")]
async fn update(
    pool: &State<PgPool>,
    pages: &State<CachedPages>,
    gzip: ReadsGzip,
) -> Result<SingleChunk> {
    // Not fetch_one: it returns with the first row, which is sent before the commit.
    let rows: Vec<i64> = sqlx::query_scalar(
        "UPDATE pages SET views = views + 1 WHERE page = '/peers/update' RETURNING views",
    )
    .fetch_all(pool.inner())
    .await?;
    let number = rows.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    Ok(render(number, pages, &gzip))
}

/// One row per view, and a COUNT(*) of them all.
#[get("/insert")]
async fn insert(
    pool: &State<PgPool>,
    pages: &State<CachedPages>,
    gzip: ReadsGzip,
) -> Result<SingleChunk> {
    let mut connection = pool.acquire().await?;
    sqlx::query("INSERT INTO peer_views (page) VALUES ('/peers/insert')")
        .execute(&mut *connection)
        .await?;
    let number = sqlx::query_scalar("SELECT count(*) FROM peer_views")
        .fetch_one(&mut *connection)
        .await?;
    drop(connection);
    Ok(render(number, pages, &gzip))
}

/// One INCR per view. All views share one connection, and commands that wait for it are sent
/// together.
#[get("/redis")]
async fn incr(
    redis: &State<ConnectionManager>,
    pages: &State<CachedPages>,
    gzip: ReadsGzip,
) -> Result<SingleChunk, Debug<RedisError>> {
    let number = redis::cmd("INCR")
        .arg("/peers/redis")
        .query_async(&mut redis.inner().clone())
        .await?;
    Ok(render(number, pages, &gzip))
}

/// The fastest way to Redis that we found, at 256 visitors on two cores.
///
/// Of 1, 2, 4 and 8 connections, one spent the least CPU on a view, and none was faster beyond the
/// noise. A buffer of 1,024 commands, instead of the default of 50, served 3 % more views with
/// `appendfsync always`, and as many with `everysec`.
async fn connect(url: String) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_pipeline_buffer_size(1024)
        .set_response_timeout(Some(TIMEOUT));
    ConnectionManager::new_with_config(Client::open(url)?, config).await
}

/// The page of the application, with a history that is made up and drawn once.
fn render(number: i64, pages: &CachedPages, gzip: &ReadsGzip) -> SingleChunk {
    static PAGE: OnceLock<CachedPage> = OnceLock::new();
    let draw = || {
        let day = |day: i64| Day {
            day: format!("2026-10-{day:02}"),
            views: day * 1_000,
        };
        let history = History {
            views: 0,
            days: (1..=30).map(day).collect(),
            time_zone: "UTC".into(),
            rest_of_today: Duration::from_secs(86_400),
        };
        let database = Server {
            name: "pageviews".into(),
            version: "15".into(),
            host: 0,
        };
        pages
            .draw(Some(&history), &database)
            .expect("the templates render")
    };
    PAGE.get_or_init(draw)
        .with_count(Count::View(number), gzip)
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
            .acquire_timeout(TIMEOUT)
            .connect_lazy(&url)
            .map_err(|e| e.to_string())?;
        // Caddy may pass a GET on as a POST, because Go's HTTP client never repeats a POST.
        let mut posts = routes![page];
        for route in &mut posts {
            route.method = Method::Post;
        }
        let mut rocket = pageviews::rocket(&config)
            .map_err(|e| e.to_string())?
            .manage(InMemory(AtomicI64::new(0)))
            .manage(pool)
            .mount("/peers", routes![page, update, insert])
            .mount("/peers", posts);
        if let Ok(url) = env::var("REDIS_URL") {
            let redis = connect(url).await.map_err(|e| format!("REDIS_URL: {e}"))?;
            rocket = rocket.manage(redis).mount("/peers", routes![incr]);
        }
        rocket.launch().await.map(drop).map_err(|e| e.to_string())
    })
}
