//! PostgreSQL's own programs: where they are, who may run them, and how they are run.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

/// PostgreSQL's programs, and the user that may run them.
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    major: String,
    user: User,
}

impl Programs {
    /// The first that are found: PATH, `pg_config --bindir`, Debian's folders from the newest. Data that exists
    /// needs its own major version.
    pub(super) fn find(user: User, data: &Path, folders: Vec<PathBuf>) -> Result<Self, String> {
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
            Some(wanted) if !found.is_empty() => format!(
                "the data in {} was made by PostgreSQL {wanted}, but this machine has {}; install PostgreSQL {wanted}, or move that folder away to count from zero",
                data.display(),
                found.join(", "),
            ),
            _ => "no PostgreSQL programs (initdb, pg_ctl, postgres) found; install them (Debian, Ubuntu: apt install postgresql; Fedora: dnf install postgresql-server; Alpine: apk add postgresql; macOS: brew install postgresql), or set DATABASE_URL to a server of yours, or run it all in containers: docker-compose up".into(),
        })
    }

    /// Makes a new cluster at `data`, with the database `pageviews` in it. All or nothing: a run that is
    /// interrupted leaves no half of one.
    pub(super) fn create(&self, data: &Path) -> Result<(), String> {
        let unfinished = data.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        run(self
            .program("initdb")
            .arg("--pgdata")
            .arg(&unfinished)
            .args([
                "--username=pageviews",
                // Whoever can open the socket, in a folder of mode 0700, is us.
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
            .map_err(|e| format!("cannot run postgres: {e}"))?;
        if let Some(mut input) = single.stdin.take() {
            let _ = input.write_all(b"CREATE DATABASE pageviews\n");
        }
        let _ = single.wait();
        fs::rename(&unfinished, data).map_err(|e| format!("cannot make {}: {e}", data.display()))
    }

    pub(super) fn start(&self, data: &Path, socket: &Path) -> Result<(), String> {
        let log = data.join("server.log");
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c unix_socket_permissions=0700",
            socket.display()
        );
        run(self
            .program("pg_ctl")
            .args(["start", "--silent", "--wait", "--pgdata"])
            .arg(data)
            .arg("--log")
            .arg(&log)
            .args(["--options", &options]))
        .map_err(|problem| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let cause = said
                .lines()
                .rev()
                .find(|line| line.contains("FATAL") || line.contains("PANIC"))
                .unwrap_or(&problem);
            format!(
                "PostgreSQL {} does not start: {cause}; more is in {}",
                self.major,
                log.display()
            )
        })
    }

    pub(super) fn stop(&self, data: &Path) -> Result<(), String> {
        run(self
            .program("pg_ctl")
            .args(["stop", "--silent", "--wait", "--mode=fast", "--pgdata"])
            .arg(data))
    }

    fn program(&self, name: &str) -> Command {
        self.command(self.folder.join(name))
    }

    /// A command that runs as the server's user, somewhere that this user can be, and knows nothing of ours.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/");
        // PGDATA, PGPORT and their like are meant for another server.
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

/// Who the server runs as.
#[derive(Clone, Copy)]
pub(super) struct User {
    uid: u32,
    gid: u32,
    /// We are root, which PostgreSQL refuses to run as, and this is an ordinary user.
    is_other: bool,
}

impl User {
    pub(super) fn current() -> Result<Self, String> {
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
                let user = users.lines().find(|line| line.split(':').next() == Some(name))?;
                let mut ids = user.split(':').skip(2).map(str::parse);
                Some(Self { uid: ids.next()?.ok()?, gid: ids.next()?.ok()?, is_other: true })
            })
            .ok_or_else(|| "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as; add one, or set DATABASE_URL".into())
    }

    /// Gives `path` to this user, unless it has it.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        if fs::metadata(path)?.uid() == self.uid {
            Ok(())
        } else {
            chown(path, Some(self.uid), Some(self.gid))
        }
    }
}

/// The folders that may hold PostgreSQL's programs, best first.
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

/// The major version of the server in `folder`, if the programs that it needs are all there.
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

/// Runs `command` to its end; an error is the last line that it wrote.
fn run(command: &mut Command) -> Result<(), String> {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // Null, not a pipe, for stdout: the server that pg_ctl starts would keep a pipe open for ever.
    let Output { status, stderr, .. } = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {name}: {e}"))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given");
    Err(format!("{name} failed: {}", last.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_programs_the_cures_are_named() {
        let user = User {
            uid: 1,
            gid: 1,
            is_other: false,
        };
        let nowhere = Path::new("/nonexistent");
        let problem = Programs::find(user, nowhere, vec![nowhere.into()])
            .err()
            .unwrap_or_default();
        for cure in [
            "apt install postgresql",
            "brew install postgresql",
            "DATABASE_URL",
            "docker-compose up",
        ] {
            assert!(problem.contains(cure), "{cure} is not in {problem}");
        }
        assert!(!problem.contains('\n'));
    }
}
