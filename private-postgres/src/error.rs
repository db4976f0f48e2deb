//! Why the private server cannot run, with the remedy.

use std::path::PathBuf;
use std::{fs, io};

/// One line: what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL is not installed.
    #[error(
        "no PostgreSQL programs (initdb, pg_ctl, postgres) found; install them (Debian, Ubuntu: \
         apt install postgresql; Fedora: dnf install postgresql-server; Alpine: apk add \
         postgresql; macOS: brew install postgresql), or set DATABASE_URL to a server of yours, \
         or run everything in containers: docker-compose up"
    )]
    NoPrograms,
    /// The data needs another major version than those that are installed.
    #[error(
        "the data in {data} was made by PostgreSQL {wanted}, but this machine has {found}; install \
         PostgreSQL {wanted}, or move that folder away to count from zero",
        data = _0.display(), wanted = _1, found = _2
    )]
    OtherVersion(PathBuf, String, String),
    /// There is no ordinary user to run the server.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as; \
         add one, or set DATABASE_URL"
    )]
    NoUser,
    /// The folder for data that stays cannot be used.
    #[error("cannot use {}: {_1}; set XDG_STATE_HOME to a writable folder", _0.display())]
    StateFolder(PathBuf, io::Error),
    /// We are root, and another user could put something else in the place of this folder.
    #[error(
        "root keeps no data below {}, because other users can change that folder; set \
         XDG_STATE_HOME to a folder that only root can change", _0.display()
    )]
    OfOthers(PathBuf),
    /// PostgreSQL cannot have its data in this folder.
    #[error("cannot use {_0:?}: PostgreSQL needs a path without line breaks; set XDG_STATE_HOME")]
    LineBreak(PathBuf),
    /// Another run of the same checkout uses the data.
    #[error("another run uses {} ({_1}); stop it, or set DATABASE_URL", _0.display())]
    InUse(PathBuf, fs::TryLockError),
    /// A folder cannot be made or used.
    #[error("cannot use {}: {_1}", _0.display())]
    Folder(PathBuf, io::Error),
    /// A program cannot be run in this folder.
    #[error("cannot run {_0} in {}: {_2}", _1.display())]
    CannotRun(String, PathBuf, io::Error),
    /// A program failed, and this is the last line that it wrote.
    #[error("{0} failed: {1}")]
    Failed(String, String),
    /// A server of this version does not start. Its log is at the path.
    #[error("PostgreSQL {_0} does not start: {_1}; more is in {}", _2.display())]
    DoesNotStart(String, String, PathBuf),
}
