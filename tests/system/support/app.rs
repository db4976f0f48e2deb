//! The real binary as a child.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use super::number;
use crate::SOON;
use crate::common::{Lines, Supervised, eventually, signal};

/// The binary, without the environment of the tests.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pageviews"));
    command.env_clear();
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.env("ROCKET_PROFILE", "dev").env("ROCKET_PORT", "0");
    // Some developers set this. A backtrace must not appear nevertheless.
    command.env("RUST_BACKTRACE", "1");
    command
}

/// The binary with the profile of a deployment and the database at `url`.
pub fn deployed(url: &str) -> Command {
    let mut command = binary();
    command
        .env("ROCKET_PROFILE", "prod")
        .env("ROCKET_ADDRESS", "127.0.0.1")
        .env("DATABASE_URL", url);
    command
}

/// Runs a command that counts `pages` on the database at `url`. Returns its exit code and its
/// output.
pub fn run(url: &str, pages: &str, arguments: &[&str]) -> (i32, String) {
    let output = output(
        binary()
            .args(arguments)
            .env("DATABASE_URL", url)
            .env("ROCKET_PAGES", pages),
    );
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap().trim_end().into();
    (output.status.code().unwrap(), said)
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

/// Copies all templates into the folder `to`.
pub fn copy_templates(to: &Path) {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/.");
    let status = Command::new("cp").args(["-R", from]).arg(to).status();
    assert!(status.unwrap().success());
}

/// The running binary. It is killed when this value is dropped or this process ends.
pub struct App {
    process: Supervised,
    pub address: String,
    log: Lines,
}

impl App {
    /// Starts the binary with the database at `url`, and waits until it listens.
    pub fn on(url: impl AsRef<OsStr>) -> Self {
        Self::start(binary().env("DATABASE_URL", url))
    }

    /// A replica with the database at `url`, which is ready. Its visits wait longer than a restart
    /// or a failover takes on a slow machine.
    pub fn patient(url: impl AsRef<OsStr>) -> Self {
        let mut command = binary();
        command.env("DATABASE_URL", url);
        let app = Self::start(command.env("ROCKET_VIEWS", "{deadline=25}"));
        app.wait_ready();
        app
    }

    /// Starts `command`, and waits until it listens.
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

    /// Waits for the end of the program.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the end of the program", || !self.is_running());
        self.process.child.wait().unwrap()
    }

    /// The lines on standard output so far.
    pub fn log(&self) -> Vec<String> {
        self.log.so_far()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> minreq::Response {
        minreq::get(self.url(path)).with_timeout(10).send().unwrap()
    }

    /// Visits the page and returns the number that it shows.
    pub fn visit(&self) -> i64 {
        number(self.get("/").as_str().unwrap())
    }

    pub fn wait_ready(&self) {
        eventually("readiness", || self.get("/readyz").status_code == 200);
    }

    /// Kills the program and returns all that it wrote to standard error.
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
    // In the prod profile the line is a string in JSON, and the address means every address.
    let address = address.trim_end_matches(['"', '}']);
    Some(address.replace("[::]", "127.0.0.1"))
}

/// Sends a GET request with this header line. Returns the answer unparsed.
pub fn ask(app: &App, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(&app.address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}
