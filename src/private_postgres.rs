//! A PostgreSQL server of our own, for `cargo run` and `cargo test`: the programs are the machine's, the
//! data ours, a Unix socket the only way in. Absent from release images.
//!
//! Who stops it: a shell beside it reads a pipe whose other end we hold. However we end, the pipe closes,
//! and the shell stops the server.

mod programs;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use tempfile::TempDir;

use self::programs::{Programs, User, folders};
use crate::config::Config;

/// How long another run in the same checkout may take to stop before this one gives up.
const LOCK_WITHIN: Duration = Duration::from_secs(10);

/// A running server. It stops when this is dropped, or when the process ends in any other way.
pub struct PrivatePostgres {
    supervisor: Child,
    /// Holds the socket, which needs a short path, and an ephemeral server's data.
    scratch: TempDir,
    programs: Programs,
    data: PathBuf,
}

/// The configuration as it is, when it names a database; else with a private one, which keeps its data.
///
/// # Errors
/// One line that says why the server cannot run and what to do.
pub fn unless_configured(config: Config) -> Result<(Config, Option<PrivatePostgres>), String> {
    if config.has_database() {
        return Ok((config, None));
    }
    let private = PrivatePostgres::persistent(&config.root)?;
    println!("private PostgreSQL, data in {}", private.data.display());
    Ok((
        config.with_database(&private.url("pageviews")),
        Some(private),
    ))
}

impl PrivatePostgres {
    /// A server for the checkout at `root`, whose data stays from run to run.
    ///
    /// # Errors
    /// One line that says why the server cannot run and what to do.
    pub fn persistent(root: &Path) -> Result<Self, String> {
        let user = User::current()?;
        let home = state_folder(root);
        let because = |e: io::Error| {
            format!(
                "cannot use {}: {e}; set XDG_STATE_HOME to a folder that can be written",
                home.display()
            )
        };
        fs::create_dir_all(&home).map_err(because)?;
        user.own(&home).map_err(because)?;
        let lock = File::create(home.join("lock")).map_err(because)?;
        take(&lock).map_err(|e| {
            format!(
                "another run uses {} ({e}); stop it, or set DATABASE_URL",
                home.display()
            )
        })?;
        Self::start(user, home.join("data"), scratch()?, Some(lock))
    }

    /// A server that leaves nothing behind.
    ///
    /// # Errors
    /// One line that says why the server cannot run and what to do.
    pub fn ephemeral() -> Result<Self, String> {
        let scratch = scratch()?;
        Self::start(User::current()?, scratch.path().join("data"), scratch, None)
    }

    /// The URL of the database `name` on this server.
    pub fn url(&self, name: &str) -> String {
        format!(
            "postgres://pageviews@localhost:5432/{name}?host={}&sslmode=disable",
            self.scratch.path().display()
        )
    }

    /// The ids of the server's processes, the postmaster's first: for tests that kill or stop it.
    ///
    /// # Errors
    /// The server does not run.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let file = fs::read_to_string(self.data.join("postmaster.pid"))?;
        let postmaster = file.lines().next().unwrap_or_default();
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", postmaster])
            .output()?;
        let pids = format!("{postmaster} {}", String::from_utf8_lossy(&children.stdout));
        Ok(pids
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect())
    }

    /// Starts the server again after it was stopped or killed.
    ///
    /// # Errors
    /// One line with what the server says.
    pub fn restart(&self) -> Result<(), String> {
        self.programs.start(&self.data, self.scratch.path())
    }

    /// Stops the server, cutting off its clients.
    ///
    /// # Errors
    /// One line with what `pg_ctl` says.
    pub fn stop(&self) -> Result<(), String> {
        self.programs.stop(&self.data)
    }

    fn start(
        user: User,
        data: PathBuf,
        scratch: TempDir,
        lock: Option<File>,
    ) -> Result<Self, String> {
        user.own(scratch.path())
            .map_err(|e| format!("cannot use {}: {e}", scratch.path().display()))?;
        let programs = Programs::find(user, &data, folders())?;
        if data.exists() {
            // Only when the shell that should have stopped it was killed too.
            let _ = programs.stop(&data);
        } else {
            programs.create(&data)?;
        }
        let supervisor = programs
            .command("sh")
            .args([
                "-c",
                r#"cat; "$1" stop --silent --wait --mode=fast --pgdata="$2"; rm -rf "$3""#,
                "supervisor",
            ])
            .args([
                programs.folder.join("pg_ctl").as_path(),
                &data,
                scratch.path(),
            ])
            .stdin(Stdio::piped())
            // The lock is held until the server has stopped, not just until we have ended.
            .stdout(lock.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::null())
            // Ctrl-C in a terminal reaches the whole group; the server must outlive the requests in flight.
            .process_group(0)
            .spawn()
            .map_err(|e| format!("cannot run sh: {e}"))?;
        let server = Self {
            supervisor,
            scratch,
            programs,
            data,
        };
        server.restart()?;
        Ok(server)
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Where the data of the checkout at `root` stays. Not inside it: when we are root, the server's user may
/// not be able to enter it.
fn state_folder(root: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    let base = match (env::var_os("XDG_STATE_HOME"), env::var_os("HOME")) {
        (Some(folder), _) if !folder.is_empty() => folder.into(),
        (_, Some(home)) if !rustix::process::geteuid().is_root() => {
            Path::new(&home).join(".local/state")
        }
        _ => PathBuf::from("/var/lib"),
    };
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    base.join("pageviews")
        .join(format!("{name}-{:016x}", hasher.finish()))
}

/// A new folder that only we can enter. In /tmp whatever TMPDIR says: a socket's path has 107 bytes at most.
fn scratch() -> Result<TempDir, String> {
    tempfile::Builder::new()
        .prefix("pageviews-")
        .tempdir_in("/tmp")
        .map_err(|e| format!("cannot make a folder in /tmp: {e}"))
}

/// Locks `file`, waiting for a run that is just stopping.
fn take(file: &File) -> Result<(), fs::TryLockError> {
    let give_up = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            // No condition to await: a lock that is waited for cannot be given up.
            Err(fs::TryLockError::WouldBlock) if Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(50))
            }
            result => return result,
        }
    }
}
