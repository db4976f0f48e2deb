//! What the tests share: a server with a database for each test, and the real binary as a child.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::{Duration, Instant};

use pageviews::config::{Config, Profile};
use pageviews::private_postgres::PrivatePostgres;
use rocket::local::asynchronous::Client;
use sqlx::{Connection, PgConnection};

/// How long anything may take that ought to happen soon.
pub const SOON: Duration = Duration::from_secs(30);

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

/// The application in this process, on the database at `url`, ready.
pub async fn client(url: &str) -> Client {
    client_of(url, &[]).await
}

/// The same, which counts `pages` besides `/`.
pub async fn client_of(url: &str, pages: &[&str]) -> Client {
    let mut config = Config::of(Profile::Dev).unwrap().with_database(url);
    config.figment = config.figment.merge(("pages", pages));
    let client = Client::untracked(pageviews::rocket(&config)).await.unwrap();
    let give_up = Instant::now() + SOON;
    while client.get("/readyz").dispatch().await.status().code != 200 {
        assert!(Instant::now() < give_up, "not ready in time");
        rocket::tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client
}

/// The page, visited once.
pub async fn page(client: &Client) -> String {
    let answer = client.get("/").dispatch().await;
    answer.into_string().await.unwrap()
}

/// The number that a page shows.
pub fn number(html: &str) -> i64 {
    let (_, rest) = html.split_once(r#"<data id="views" value=""#).unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

/// The value of the header `name` (lower case), if the answer has it.
pub fn header<'a>(answer: &'a minreq::Response, name: &str) -> Option<&'a str> {
    let (_, value) = answer
        .headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value)
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
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

/// The running binary. Killed when dropped, if it still runs.
pub struct App {
    pub child: Child,
    pub address: String,
    /// What it wrote until it listened.
    pub launch_log: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// Starts the binary on the database at `url`; returns when it listens.
    pub fn on(url: impl AsRef<OsStr>) -> Self {
        Self::start(binary().env("DATABASE_URL", url))
    }

    /// Starts `command`, which serves; returns when it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, output) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let written = lines.clone();
        std::thread::spawn(move || {
            // Read to the end, wanted or not: a full pipe would stop the application.
            for line in stdout.lines().map_while(Result::ok) {
                written.lock().unwrap().push(line.clone());
                let _ = sender.send(line);
            }
        });
        let mut app = Self {
            child,
            address: String::new(),
            launch_log: String::new(),
            lines,
        };
        app.address = loop {
            let Ok(line) = output.recv_timeout(SOON) else {
                panic!("it does not listen: {}", app.stderr());
            };
            app.launch_log += &line;
            if let Some((_, address)) = line.split_once("launched from http://") {
                // In the prod profile a string in JSON.
                break address.trim_end_matches(['"', '}']).to_string();
            }
        };
        app
    }

    /// The lines that it wrote to standard output so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
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
        eventually("ready", || self.get("/readyz").status_code == 200);
    }

    /// What it wrote to standard error, from beginning to end: it is killed for that.
    pub fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = self.child.kill();
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends the signal of that name to one process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}
