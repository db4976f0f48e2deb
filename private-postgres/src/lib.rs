//! A private PostgreSQL server, for development and tests.
//!
//! It runs the programs of the machine, and accepts connections over a Unix socket only. A shell
//! beside it reads a pipe whose other end we hold. However we end, the pipe closes, and the shell
//! stops the server.

mod error;
mod programs;
mod state;
mod user;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub use self::error::Error;
use self::programs::{Programs, folders};
use self::user::User;

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
        let home = state::folder(root, user)?;
        let lock = state::lock(&home)?;
        let data = home.join("data");
        let programs = Programs::find(user, &data, folders())?;
        if data.exists() {
            // It still runs only if the shell that should have stopped it was killed as well.
            let _ = programs.stop(&data);
        } else {
            // An interrupted run leaves no half-made cluster in the place of a whole one.
            let unfinished = home.join("data.unfinished");
            let _ = fs::remove_dir_all(&unfinished);
            user.make(&unfinished)?;
            programs.create(&unfinished)?;
            fs::rename(&unfinished, &data).map_err(|cause| Error::Folder(data.clone(), cause))?;
        }
        let scratch = scratch()?;
        user.give(scratch.path())?;
        Self::start(programs, data, scratch, Some(lock))
    }

    /// A server that leaves nothing behind.
    ///
    /// # Errors
    /// The server cannot run.
    pub fn ephemeral() -> Result<Self, Error> {
        let user = User::current()?;
        let scratch = scratch()?;
        let data = scratch.path().join("data");
        let programs = Programs::find(user, &data, folders())?;
        // The folder inside comes first: root makes nothing in a folder of another user.
        user.make(&data)?;
        user.give(scratch.path())?;
        programs.create(&data)?;
        Self::start(programs, data, scratch, None)
    }

    /// A standby of this server: another one that holds the same, and follows each change.
    ///
    /// # Errors
    /// The server cannot run.
    pub fn standby(&self) -> Result<Self, Error> {
        let user = User::current()?;
        let scratch = scratch()?;
        let data = scratch.path().join("data");
        let programs = Programs::find(user, &self.data, folders())?;
        user.give(scratch.path())?;
        programs.copy(self.scratch.path(), scratch.path())?;
        Self::start(programs, data, scratch, None)
    }

    /// The folder of its socket, which a URL may name as a host.
    pub fn socket(&self) -> &Path {
        self.scratch.path()
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
        let file = self.programs.user.read(&self.data.join("postmaster.pid"));
        let file = file.ok_or(io::ErrorKind::NotFound)?;
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
        programs: Programs,
        data: PathBuf,
        scratch: TempDir,
        lock: Option<File>,
    ) -> Result<Self, Error> {
        let supervisor = programs
            .user
            .command("sh")
            .args([
                "-c",
                r#"cat; "$1" stop --silent --wait --mode=fast --pgdata=.; rm -rf "$2""#,
                "supervisor",
            ])
            .args([programs.folder.join("pg_ctl").as_path(), scratch.path()])
            .current_dir(&data)
            .stdin(Stdio::piped())
            // The shell inherits the lock, so it is held until the server has stopped.
            .stdout(lock.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::null())
            // Ctrl-C in a terminal reaches the whole process group. The server has to outlive the
            // requests in flight.
            .process_group(0)
            .spawn()
            .map_err(|cause| Error::CannotRun("sh".into(), data.clone(), cause))?;
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

/// A new folder that only we can enter. In /tmp whatever TMPDIR says, because the path of a socket
/// may have 107 bytes at most.
fn scratch() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("pageviews-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in("/tmp")
        .map_err(|cause| Error::Folder("/tmp".into(), cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_user_can_enter_the_folder_of_the_socket() {
        let scratch = scratch().expect("a folder");
        let mode = fs::metadata(&scratch)
            .expect("it exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "{mode:o}");
    }
}
