//! PostgreSQL's programs: where they are, which user runs them, and how they are run.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use super::error::Error;

/// PostgreSQL's programs, and the user that may run them.
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    major: String,
    user: User,
}

impl Programs {
    /// The programs in the first of `folders` that has them. Data that exists needs programs of its
    /// own major version.
    pub(super) fn find(user: User, data: &Path, folders: Vec<PathBuf>) -> Result<Self, Error> {
        let wanted = fs::read_to_string(data.join("PG_VERSION"))
            .ok()
            .map(|version| version.trim().to_string());
        let mut found = Vec::new();
        for folder in folders {
            let Some(major) = major_version(&folder) else {
                continue;
            };
            if wanted.as_ref().is_none_or(|wanted| *wanted == major) {
                return Ok(Self {
                    folder,
                    major,
                    user,
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

    /// Makes a new cluster at `data` that contains the database `pageviews`. An interrupted run
    /// leaves no half-made cluster.
    pub(super) fn create(&self, data: &Path) -> Result<(), Error> {
        let unfinished = data.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        run(self
            .program("initdb")
            .arg("--pgdata")
            .arg(&unfinished)
            .args([
                "--username=pageviews",
                // Only our user can open the socket: its folder has the mode 0700.
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ]))?;
        let mut single = self
            .program("postgres")
            .args(["--single", "-D"])
            .arg(&unfinished)
            .arg("postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|cause| Error::CannotRun("postgres".into(), cause))?;
        if let Some(mut input) = single.stdin.take() {
            let _ = input.write_all(b"CREATE DATABASE pageviews\n");
        }
        let _ = single.wait();
        fs::rename(&unfinished, data).map_err(|cause| Error::Folder(data.into(), cause))
    }

    pub(super) fn start(&self, data: &Path, socket: &Path) -> Result<(), Error> {
        let log = data.join("server.log");
        let options = format!(
            "-c listen_addresses='' -c unix_socket_permissions=0700 \
             -c unix_socket_directories='{}'",
            socket.display()
        );
        run(self
            .program("pg_ctl")
            .args(["start", "--silent", "--wait", "--pgdata"])
            .arg(data)
            .arg("--log")
            .arg(&log)
            .args(["--options", &options]))
        .map_err(|error| {
            let lines = fs::read_to_string(&log).unwrap_or_default();
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
        run(self
            .program("pg_ctl")
            .args(["stop", "--silent", "--wait", "--mode=fast", "--pgdata"])
            .arg(data))
    }

    fn program(&self, name: &str) -> Command {
        self.command(self.folder.join(name))
    }

    /// A command that runs as the server's user, in a folder that this user can enter.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/");
        // PGDATA, PGPORT and similar variables are meant for another server.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG"))
        {
            command.env_remove(name);
        }
        if self.user.is_other {
            command.gid(self.user.gid).uid(self.user.uid);
        }
        command
    }
}

/// The user that the server runs as.
#[derive(Clone, Copy)]
pub(super) struct User {
    uid: u32,
    gid: u32,
    /// Whether we are root, whom PostgreSQL refuses, and this is an ordinary user.
    is_other: bool,
}

impl User {
    pub(super) fn current() -> Result<Self, Error> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if !uid.is_root() {
            return Ok(Self {
                uid: uid.as_raw(),
                gid: gid.as_raw(),
                is_other: false,
            });
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| {
                let user = users
                    .lines()
                    .find(|line| line.split(':').next() == Some(name))?;
                let mut ids = user.split(':').skip(2).map(str::parse);
                Some(Self {
                    uid: ids.next()?.ok()?,
                    gid: ids.next()?.ok()?,
                    is_other: true,
                })
            })
            .ok_or(Error::NoUser)
    }

    /// Gives `path` to this user, unless the user owns it.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        if fs::metadata(path)?.uid() == self.uid {
            Ok(())
        } else {
            chown(path, Some(self.uid), Some(self.gid))
        }
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
    if !["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|name| folder.join(name).is_file())
    {
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
    // Standard output is no pipe: the server that pg_ctl starts would keep a pipe open forever.
    let Output { status, stderr, .. } = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|cause| Error::CannotRun(name.clone(), cause))?;
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
        let user = User {
            uid: 1,
            gid: 1,
            is_other: false,
        };
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
