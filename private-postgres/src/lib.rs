//! A private PostgreSQL server, for development and tests.
//!
//! It runs the programs of the machine, and accepts connections over a Unix socket only. A shell
//! beside it reads a pipe whose other end we hold. However we end, the pipe closes, and the shell
//! stops the server.

mod error;
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

pub use self::error::Error;
use self::programs::{Programs, User, folders};

/// How long to wait for another run in the same checkout to stop.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server. It stops when this is dropped, or when the process ends in any other way.
pub struct PrivatePostgres {
    supervisor: Child,
    /// Contains the socket, which needs a short path, and the data of an ephemeral server.
    scratch: TempDir,
    programs: Programs,
    data: PathBuf,
}

impl PrivatePostgres {
    /// A server for the checkout at `root`, whose data stays from run to run.
    ///
    /// # Errors
    /// The server cannot run.
    pub fn persistent(root: &Path) -> Result<Self, Error> {
        let user = User::current()?;
        let home = state_folder(root);
        let unusable = |cause| Error::StateFolder(home.clone(), cause);
        fs::create_dir_all(&home).map_err(unusable)?;
        user.own(&home).map_err(unusable)?;
        let lock = File::create(home.join("lock")).map_err(unusable)?;
        take(&lock).map_err(|cause| Error::InUse(home.clone(), cause))?;
        Self::start(user, home.join("data"), scratch()?, Some(lock))
    }

    /// A server that leaves nothing behind.
    ///
    /// # Errors
    /// The server cannot run.
    pub fn ephemeral() -> Result<Self, Error> {
        let scratch = scratch()?;
        Self::start(User::current()?, scratch.path().join("data"), scratch, None)
    }

    /// The folder of its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The URL of the database `name` on this server.
    pub fn url(&self, name: &str) -> String {
        format!(
            "postgres://pageviews@localhost:5432/{name}?host={}&sslmode=disable",
            self.scratch.path().display()
        )
    }

    /// The ids of the server's processes, the postmaster first, for tests that stop or kill them.
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
    /// The server does not start.
    pub fn restart(&self) -> Result<(), Error> {
        self.programs.start(&self.data, self.scratch.path())
    }

    /// Stops the server, cutting off its clients.
    ///
    /// # Errors
    /// `pg_ctl` failed.
    pub fn stop(&self) -> Result<(), Error> {
        self.programs.stop(&self.data)
    }

    fn start(
        user: User,
        data: PathBuf,
        scratch: TempDir,
        lock: Option<File>,
    ) -> Result<Self, Error> {
        user.own(scratch.path())
            .map_err(|cause| Error::Folder(scratch.path().into(), cause))?;
        let programs = Programs::find(user, &data, folders())?;
        if data.exists() {
            // It still runs only if the shell that should have stopped it was killed as well.
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
            // The shell inherits the lock, so it is held until the server has stopped.
            .stdout(lock.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::null())
            // Ctrl-C in a terminal reaches the whole process group. The server has to outlive the
            // requests in flight.
            .process_group(0)
            .spawn()
            .map_err(|cause| Error::CannotRun("sh".into(), cause))?;
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

/// The folder for the data of the checkout at `root`. It is outside the checkout, because the
/// server's user may not be able to enter that when we are root.
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

/// A new folder that only we can enter. In /tmp whatever TMPDIR says, because the path of a socket
/// may have 107 bytes at most.
fn scratch() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("pageviews-")
        .tempdir_in("/tmp")
        .map_err(|cause| Error::Folder("/tmp".into(), cause))
}

/// Locks `file`. Waits for a run that is just stopping.
fn take(file: &File) -> Result<(), fs::TryLockError> {
    let give_up = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            // A blocking lock could not be given up, so this asks again and again.
            Err(fs::TryLockError::WouldBlock) if Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(50))
            }
            result => return result,
        }
    }
}
