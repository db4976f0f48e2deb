//! The program behind PgBouncer: it counts where each connection is a session, and says what to do
//! where it is not.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use private_postgres::PrivatePostgres;
use tempfile::TempDir;

use crate::common::{Stream, Supervised, eventually, or_skip};
use crate::support::App;

/// What PgBouncer has to ignore: sqlx sends the first, and our time limits are in the second.
const IGNORE: &str = "ignore_startup_parameters = extra_float_digits,options";

/// A PgBouncer in front of `server`. It ends when this value is dropped.
struct PgBouncer {
    url: String,
    _folder: TempDir,
    _process: Supervised,
}

impl PgBouncer {
    fn start(server: &PrivatePostgres, settings: &str) -> Option<Self> {
        let url = server.url("pageviews");
        let (_, parameters) = url.split_once("?host=").unwrap();
        let socket = parameters.split('&').next().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().to_str().unwrap();
        let configuration = format!(
            "[databases]
pageviews = host={socket}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {path}/users
{settings}
"
        );
        fs::write(folder.path().join("pgbouncer.ini"), configuration).unwrap();
        fs::write(folder.path().join("users"), "\"pageviews\" \"\"\n").unwrap();
        // Debian has it where only root looks for programs.
        let programs = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        // The server's user may enter the folder of its socket, and PgBouncer refuses root.
        let owner = fs::metadata(server.data()).unwrap();
        let process = Supervised::spawn(
            Command::new("pgbouncer")
                .env("PATH", programs)
                .arg(format!("{path}/pgbouncer.ini"))
                .gid(owner.gid())
                .uid(owner.uid())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let remedy = |error| format!("no PgBouncer: {error}; apt-get install pgbouncer");
        let what = "what works behind PgBouncer";
        let process = or_skip(what, process.map_err(remedy))?;
        eventually("PgBouncer", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(Self {
            url: format!("postgres://pageviews@127.0.0.1:{port}/pageviews?sslmode=disable"),
            _folder: folder,
            _process: process,
        })
    }
}

#[test]
fn in_session_mode_all_works() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let settings = format!("pool_mode = session\n{IGNORE}");
    let Some(pooler) = PgBouncer::start(&server, &settings) else {
        return;
    };
    let app = App::on(&pooler.url);
    app.wait_ready();
    let mut stream = Stream::open(&app.url("/live"));
    assert_eq!(stream.next(), Some(0));
    for number in 1..=3 {
        assert_eq!(app.visit(), number);
        assert_eq!(app.get("/api/pages/").status_code, 200);
        stream.until(number);
    }
}

#[test]
fn otherwise_the_log_says_what_to_do() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let transactions = format!("pool_mode = transaction\n{IGNORE}");
    for (settings, remedy) in [
        ("pool_mode = session", "ignore_startup_parameters"),
        (transactions.as_str(), "pool_mode = session"),
    ] {
        let Some(pooler) = PgBouncer::start(&server, settings) else {
            return;
        };
        // A second program takes the sessions of the first one in turn.
        let apps = [App::on(&pooler.url), App::on(&pooler.url)];
        eventually(remedy, || {
            let told = |app: &App| {
                app.get("/readyz").as_str().unwrap() == "misconfigured\n"
                    && app.log().iter().any(|line| line.contains(remedy))
            };
            apps.iter().any(told)
        });
    }
}
