//! The private PostgreSQL that the binary starts when no database is configured, as `cargo run`
//! does.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::common::skip::skipped;
use crate::common::{eventually, signal};
use crate::support::{self, App, binary};

/// The binary in a checkout of its own, whose private server keeps its data in `state`.
fn in_checkout(checkout: &Path, state: &Path) -> Command {
    fs::create_dir_all(checkout).unwrap();
    fs::copy("Rocket.toml", checkout.join("Rocket.toml")).unwrap();
    let mut command = binary();
    command.current_dir(checkout).env("XDG_STATE_HOME", state);
    command.env(
        "ROCKET_TEMPLATE_DIR",
        concat!(env!("CARGO_MANIFEST_DIR"), "/templates"),
    );
    command
}

/// A folder that every user can enter. The tests of root run the server as another user.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn counts_are_kept_and_a_crash_blocks_no_start() {
    let folder = open_folder();
    let checkout = folder.path().join("checkout");
    for (expected, end) in (1..).zip(["TERM", "INT", "KILL", "TERM"]) {
        let mut app = App::start(&mut in_checkout(&checkout, folder.path()));
        app.wait_ready();
        assert_eq!(app.visit(), expected, "before SIG{end}");
        signal(app.id(), end);
        app.ended();
    }
    // The data is in the state folder, and no server runs on it.
    let data = fs::read_dir(folder.path().join("pageviews"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert!(!data.join("data/postmaster.pid").exists());
}

#[test]
fn the_first_start_says_where_it_serves_in_a_few_lines() {
    let folder = open_folder();
    let app = App::start(&mut in_checkout(&folder.path().join("new"), folder.path()));
    let is_ready = |line: &String| line.starts_with("database pageviews is ready");
    eventually("the database", || app.log().iter().any(is_ready));
    let log = app.log();
    assert_eq!(log.len(), 4, "{log:#?}");
    for part in [
        "data in /",
        "profile dev",
        app.address.as_str(),
        "PostgreSQL 1",
    ] {
        assert!(
            log.iter().any(|line| line.contains(part)),
            "{part} is not in {log:#?}"
        );
    }
}

#[test]
fn two_checkouts_run_side_by_side() {
    let folder = open_folder();
    let one = App::start(&mut in_checkout(&folder.path().join("one"), folder.path()));
    let two = App::start(&mut in_checkout(&folder.path().join("two"), folder.path()));
    one.wait_ready();
    two.wait_ready();
    assert_eq!((one.visit(), one.visit(), two.visit()), (1, 2, 1));
}

#[test]
fn a_checkout_may_be_closed_to_other_users() {
    let folder = open_folder();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let app = App::start(&mut in_checkout(&closed.join("checkout"), folder.path()));
    app.wait_ready();
    assert_eq!(app.visit(), 1);
}

#[test]
fn an_ordinary_user_can_run_the_program() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        // This user is an ordinary one, so every other test here proves the same.
        return skipped(
            "whether an ordinary user can run the program",
            "only root can become another user; the tests beside this one ran as an ordinary user",
        );
    }
    let folder = open_folder();
    let home = folder.path().join("home");
    let program = folder.path().join("pageviews");
    fs::copy(env!("CARGO_BIN_EXE_pageviews"), &program).unwrap();
    let templates = folder.path().join("templates");
    fs::create_dir(&templates).unwrap();
    support::copy_templates(&templates);
    fs::create_dir(&home).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &home)
        .env("ROCKET_PORT", "0");
    command
        .env("ROCKET_PROFILE", "dev")
        .current_dir(folder.path())
        .gid(NOBODY)
        .uid(NOBODY);
    let app = App::start(&mut command);
    app.wait_ready();
    assert_eq!(app.visit(), 1);
}

#[test]
fn data_of_another_major_version_is_named_and_kept() {
    let folder = open_folder();
    let checkout = folder.path().join("checkout");
    drop(App::start(&mut in_checkout(&checkout, folder.path())));
    let data = fs::read_dir(folder.path().join("pageviews"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
        .join("data");
    let version = data.join("PG_VERSION");
    fs::write(&version, "9\n").unwrap();
    let output = support::output(&mut in_checkout(&checkout, folder.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["PostgreSQL 9", &data.display().to_string(), "install"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(version.exists() && data.join("base").exists());
}
