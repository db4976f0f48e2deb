//! What the tests share: a server with a database for each test, and the real binary as a child.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pageviews::config::{Config, Profile};
use pageviews::private_postgres::PrivatePostgres;
use rocket::local::asynchronous::Client;
use rocket::tokio::time;
use sqlx::{Connection, PgConnection};

use crate::SOON;
use crate::common::{Lines, Supervised, answer, eventually, signal};

/// One server for all tests of this process. It ends with the process.
static SERVER: LazyLock<PrivatePostgres> = LazyLock::new(|| PrivatePostgres::ephemeral().unwrap());

/// The URL of a new, empty database.
pub async fn database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = connect(&SERVER.url("postgres")).await;
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
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

/// What `future` becomes. Panics after `SOON`.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = time::timeout(SOON, future).await;
    waited.unwrap_or_else(|_| panic!("waited {SOON:?} in vain: {what}"))
}

/// Runs `command` to its end. Panics after `SOON`.
pub fn output(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let (sender, output) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = output.recv_timeout(SOON).unwrap_or_else(|_| {
        signal(pid, "KILL");
        panic!("waited {SOON:?} in vain for the end of {command:?}")
    });
    output.unwrap()
}

/// How often `page` was counted, asked of the database behind the application's back.
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

/// How often each page was counted that has a row.
pub async fn counts(url: &str) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT page, views FROM pages")
        .fetch_all(&mut connect(url).await)
        .await
        .unwrap();
    rows.into_iter().collect()
}

/// The configuration of a developer's machine, with the database at `url`.
pub fn config(url: &str) -> Config {
    Config::of(Profile::Dev).unwrap().with_database(url)
}

/// Copies all templates, whatever they are, into the folder `to`.
pub fn copy_templates(to: &Path) {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/.");
    let status = Command::new("cp").args(["-R", from]).arg(to).status();
    assert!(status.unwrap().success());
}

/// The application in this process, on the database at `url`, ready.
pub async fn client(url: &str) -> Client {
    client_of(url, &[]).await
}

/// The same, which counts `pages` besides `/`.
pub async fn client_of(url: &str, pages: &[&str]) -> Client {
    let mut config = config(url);
    config.figment = config.figment.merge(("pages", pages));
    let client = Client::untracked(pageviews::rocket(&config)).await.unwrap();
    eventually_async("readiness", async || {
        client.get("/readyz").dispatch().await.status().code == 200
    })
    .await;
    client
}

/// The page, visited once.
pub async fn page(client: &Client) -> String {
    let answer = client.get("/").dispatch().await;
    answer.into_string().await.unwrap()
}

/// The number that a page shows.
pub fn number(html: &str) -> i64 {
    answer::number(html).unwrap_or_else(|| panic!("there is no number in {html}"))
}

/// The binary, with an environment of its own and nothing of ours.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pageviews"));
    command.env_clear();
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.env("ROCKET_PROFILE", "dev").env("ROCKET_PORT", "0");
    // As on a developer's machine that asks for them: not one may appear.
    command.env("RUST_BACKTRACE", "1");
    command
}

/// The running binary. It is killed when this value is dropped or the tests end.
pub struct App {
    process: Supervised,
    pub address: String,
    log: Lines,
}

impl App {
    /// Starts the binary on the database at `url`; returns when it listens.
    pub fn on(url: impl AsRef<OsStr>) -> Self {
        Self::start(binary().env("DATABASE_URL", url))
    }

    /// Starts `command`, which serves; returns when it listens.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Supervised::spawn(command).unwrap();
        let log = Lines::of(process.child.stdout.take().unwrap());
        let mut app = Self {
            process,
            address: String::new(),
            log,
        };
        eventually("the program listens or ends", || {
            let ended = !app.is_running();
            if let Some(address) = app.log().iter().find_map(|line| listens_on(line)) {
                app.address = address;
            }
            ended || !app.address.is_empty()
        });
        if app.address.is_empty() {
            panic!("it does not listen: {}", app.stderr());
        }
        app
    }

    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the end of the program", || !self.is_running());
        self.process.child.wait().unwrap()
    }

    /// The lines that it wrote to standard output so far.
    pub fn log(&self) -> Vec<String> {
        self.log.so_far()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> minreq::Response {
        minreq::get(self.url(path)).with_timeout(10).send().unwrap()
    }

    /// Visits the page, which is ready, and returns the number that it shows.
    pub fn visit(&self) -> i64 {
        number(self.get("/").as_str().unwrap())
    }

    pub fn wait_ready(&self) {
        eventually("readiness", || self.get("/readyz").status_code == 200);
    }

    /// All that it wrote to standard error. Kills it first.
    pub fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.process.child.stderr.take() {
            let _ = self.process.child.kill();
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

/// The address in the line that says where the program listens.
fn listens_on(line: &str) -> Option<String> {
    let (_, address) = line.split_once("launched from http://")?;
    // In the prod profile the line is a string in JSON.
    Some(address.trim_end_matches(['"', '}']).to_string())
}
