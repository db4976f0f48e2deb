//! The user that the server runs as, and what is done as this user.
//!
//! PostgreSQL refuses root. If we are root, the server's user is another one, whom root does not
//! trust: in a folder of this user any name may be a link to a file of root. So root opens and
//! makes nothing there, and lets programs of the user do it.

use std::ffi::OsStr;
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use super::error::Error;

/// The user that the server runs as: another one if we are root, and else we ourselves.
#[derive(Clone, Copy)]
pub(super) struct User {
    /// The ids of the other user and its group.
    pub(super) other: Option<(u32, u32)>,
}

impl User {
    pub(super) fn current() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let ids = |name: &&str| {
            let user = users
                .lines()
                .find(|line| line.split(':').next() == Some(name))?;
            let mut ids = user.split(':').skip(2).map(str::parse);
            Some((ids.next()?.ok()?, ids.next()?.ok()?))
        };
        let other = ["postgres", "nobody"].iter().find_map(ids);
        let other = Some(other.ok_or(Error::NoUser)?);
        Ok(Self { other })
    }

    /// Makes the folder `path`, in a folder of ours, and gives it to this user.
    pub(super) fn make(self, path: &Path) -> Result<(), Error> {
        fs::create_dir(path).map_err(|cause| Error::Folder(path.into(), cause))?;
        self.give(path)
    }

    /// Gives `path`, in a folder of ours, to this user.
    pub(super) fn give(self, path: &Path) -> Result<(), Error> {
        let Some((uid, gid)) = self.other else {
            return Ok(());
        };
        lchown(path, Some(uid), Some(gid)).map_err(|cause| Error::Folder(path.into(), cause))
    }

    /// A command that runs as this user, in a folder that this user can enter.
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/");
        // PGDATA, PGPORT and similar variables are meant for another server.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG"))
        {
            command.env_remove(name);
        }
        if let Some((uid, gid)) = self.other {
            command.gid(gid).uid(uid);
        }
        command
    }

    /// The text of the file at `path`, if this user can read it.
    pub(super) fn read(self, path: &Path) -> Option<String> {
        let mut command = self.command("cat");
        let output = command.arg(path).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }
}
