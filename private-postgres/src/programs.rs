//! PostgreSQL's programs: where they are, and how they are run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use super::error::Error;
use super::user::User;

/// PostgreSQL's programs, and the user that may run them.
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    pub(super) user: User,
    major: String,
}

impl Programs {
    /// The programs in the first of `folders` that has them. Data that exists needs programs of its
    /// own major version.
    pub(super) fn find(user: User, data: &Path, folders: Vec<PathBuf>) -> Result<Self, Error> {
        let wanted = user.read(&data.join("PG_VERSION"));
        let wanted = wanted.map(|version| version.trim().to_string());
        let mut found = Vec::new();
        for folder in folders {
            let Some(major) = major_version(&folder) else {
                continue;
            };
            if wanted.as_ref().is_none_or(|wanted| *wanted == major) {
                return Ok(Self {
                    folder,
                    user,
                    major,
                });
            }
            found.push(major);
        }
        Err(match wanted {
            Some(wanted) if !found.is_empty() => {
                let (data, found) = (data.into(), found.join(", "));
                Error::OtherVersion(data, wanted, found)
            }
            _ => Error::NoPrograms,
        })
    }

    /// Makes a new cluster in the empty folder `data`. It contains the database `pageviews`.
    pub(super) fn create(&self, data: &Path) -> Result<(), Error> {
        run(self.program("initdb", data).args([
            "--pgdata=.",
            "--username=pageviews",
            // Only our user can open the socket: its folder has the mode 0700.
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]))?;
        let mut single = self
            .program("postgres", data)
            .args(["--single", "-D", ".", "postgres"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|cause| Error::CannotRun("postgres".into(), data.into(), cause))?;
        if let Some(mut input) = single.stdin.take() {
            let _ = input.write_all(b"CREATE DATABASE pageviews\n");
        }
        let _ = single.wait();
        Ok(())
    }

    /// Copies the server whose socket is in `of` to the folder `data` in `to`. A server there is a
    /// standby of the first.
    pub(super) fn copy(&self, of: &Path, to: &Path) -> Result<(), Error> {
        // The folder may have links to the three programs that are always needed, and no others.
        let postgres = fs::canonicalize(self.folder.join("postgres"));
        let postgres = postgres.map_err(|cause| Error::Folder(self.folder.clone(), cause))?;
        let mut copy = self.user.command(postgres.with_file_name("pg_basebackup"));
        run(copy
            .current_dir(to)
            .args(["--pgdata=data", "--write-recovery-conf", "--no-sync"])
            .args(["--checkpoint=fast", "--username=pageviews"])
            .arg("--host")
            .arg(of))
    }

    pub(super) fn start(&self, data: &Path, socket: &Path) -> Result<(), Error> {
        let options = format!(
            "-c listen_addresses='' -c unix_socket_permissions=0700 \
             -c unix_socket_directories='{}'",
            socket.display()
        );
        run(self
            .program("pg_ctl", data)
            .args([
                "start",
                "--silent",
                "--wait",
                "--pgdata=.",
                "--log=server.log",
            ])
            .args(["--options", &options]))
        .map_err(|error| {
            let log = data.join("server.log");
            let lines = self.user.read(&log).unwrap_or_default();
            let fatal = |line: &&str| line.contains("FATAL") || line.contains("PANIC");
            let cause = lines.lines().rev().find(fatal).map(String::from);
            Error::DoesNotStart(
                self.major.clone(),
                cause.unwrap_or_else(|| error.to_string()),
                log,
            )
        })
    }

    pub(super) fn stop(&self, data: &Path) -> Result<(), Error> {
        run(self.program("pg_ctl", data).args([
            "stop",
            "--silent",
            "--wait",
            "--mode=fast",
            "--pgdata=.",
        ]))
    }

    /// A program that works on the cluster at `data`, in that folder. It is told `.` and not the
    /// path: pg_ctl passes this name to a shell, which would run a `$(…)` in it.
    fn program(&self, name: &str, data: &Path) -> Command {
        let mut command = self.user.command(self.folder.join(name));
        command.current_dir(data);
        command
    }
}

/// The folders that may contain PostgreSQL's programs: PATH, then what `pg_config` says, then
/// Debian's folders from the newest version.
pub(super) fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("PATH")
        .iter()
        .flat_map(env::split_paths)
        .collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let mut debian: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    debian.sort_by_key(|folder| {
        folder
            .file_name()
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
    });
    folders.extend(debian.iter().rev().map(|folder| folder.join("bin")));
    folders
}

/// The major version of the programs in `folder`, if all that we need are there.
fn major_version(folder: &Path) -> Option<String> {
    // The programs pass each other's real paths to a shell, in double quotes.
    let is_usable = |name: &&str| {
        let program = fs::canonicalize(folder.join(name)).unwrap_or_default();
        program.is_file() && !program.to_string_lossy().contains(['"', '$', '`', '\\'])
    };
    if !["initdb", "pg_ctl", "postgres"].iter().all(is_usable) {
        return None;
    }
    // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let version = String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .nth(2)?
        .to_string();
    Some(version.chars().take_while(char::is_ascii_digit).collect())
}

/// Runs `command` to its end. An error has the last line that the command wrote.
fn run(command: &mut Command) -> Result<(), Error> {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let folder = command.get_current_dir().unwrap_or(Path::new("/")).into();
    // Standard output is no pipe: the server that pg_ctl starts would keep a pipe open forever.
    let Output { status, stderr, .. } = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|cause| Error::CannotRun(name.clone(), folder, cause))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given");
    Err(Error::Failed(name, last.trim().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_programs_the_error_names_the_remedies() {
        let user = User::current().expect("a user");
        let nowhere = Path::new("/nonexistent");
        let found = Programs::find(user, nowhere, vec![nowhere.into()]);
        let message = found.err().expect("no programs are there").to_string();
        for remedy in [
            "apt install postgresql",
            "brew install postgresql",
            "DATABASE_URL",
            "docker-compose up",
        ] {
            assert!(message.contains(remedy), "{remedy} is not in {message}");
        }
        assert!(!message.contains('\n'));
    }
}
