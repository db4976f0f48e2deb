//! The private PostgreSQL that the binary starts when no database is configured, as `cargo run`
//! does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::skip::skipped;
use crate::common::{eventually, signal};
use crate::support::{self, App, binary};

/// An ordinary user that every machine has.
const NOBODY: u32 = 65534;

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

/// The folder below `state` that the program made for a checkout.
fn made_in(state: &Path) -> PathBuf {
    let mut folders = fs::read_dir(state.join("pageviews")).unwrap();
    folders.next().unwrap().unwrap().path()
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
    let postmaster = made_in(folder.path()).join("data/postmaster.pid");
    assert!(!postmaster.exists());
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

/// What the program says instead of a start, in one line.
fn refusal(command: &mut Command) -> String {
    let output = support::output(command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn no_name_of_a_folder_reaches_a_shell() {
    const NAME: &str = r#"a "quoted" \name; `touch $MARK` $(touch "$MARK") 'x"#;
    let folder = open_folder();
    // Any user could leave the mark.
    let marks = folder.path().join("marks");
    fs::create_dir(&marks).unwrap();
    fs::set_permissions(&marks, fs::Permissions::from_mode(0o777)).unwrap();
    let state = folder.path().join(NAME);
    let checkout = state.join(NAME);
    let run = |expected| {
        let app = App::start(in_checkout(&checkout, &state).env("MARK", marks.join("x")));
        app.wait_ready();
        assert_eq!(app.visit(), expected);
        drop(app);
        assert_eq!(fs::read_dir(&marks).unwrap().count(), 0);
    };
    run(1);
    run(2);
    // People paste this path.
    let made = made_in(&state);
    let name = made.file_name().unwrap().to_str().unwrap();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    assert!(name.chars().all(is_plain), "{name}");
    // Older versions used the checkout's name as it is.
    let (_, hash) = name.rsplit_once('-').unwrap();
    fs::rename(&made, made.with_file_name(format!("{NAME}-{hash}"))).unwrap();
    run(3);

    let broken = folder.path().join("two\nlines");
    let said = refusal(&mut in_checkout(&checkout, &broken));
    assert!(
        said.contains("line breaks") && said.contains("XDG_STATE_HOME"),
        "{said}"
    );
}

#[test]
fn a_link_that_the_servers_user_left_harms_no_file_of_root() {
    if !rustix::process::geteuid().is_root() {
        return skipped(
            "whether root follows a link of the server's user",
            "only root runs the server as another user",
        );
    }
    let folder = open_folder();
    let checkout = folder.path().join("checkout");
    let start = || App::start(&mut in_checkout(&checkout, folder.path()));
    let app = start();
    app.wait_ready();
    assert_eq!(app.visit(), 1);
    drop(app);
    // Older versions gave the whole folder to the server's user.
    let made = made_in(folder.path());
    let user = fs::metadata(made.join("data")).unwrap().uid();
    assert_ne!(user, 0);
    chown(&made, Some(user), Some(user)).unwrap();
    let (lock, victim) = (made.join("lock"), folder.path().join("victim"));
    fs::write(&victim, "of root").unwrap();
    fs::remove_file(&lock).unwrap();
    symlink(&victim, &lock).unwrap();

    let said = refusal(&mut in_checkout(&checkout, folder.path()));
    assert!(said.contains(lock.to_str().unwrap()), "{said}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "of root");
    // From now on the user cannot leave another link.
    let (owner, mode) = fs::metadata(&made).map(|of| (of.uid(), of.mode())).unwrap();
    assert_eq!((owner, mode & 0o022), (0, 0), "{mode:o}");
    fs::remove_file(&lock).unwrap();
    let app = start();
    app.wait_ready();
    assert_eq!(app.visit(), 2);
}

#[test]
fn root_keeps_no_data_where_others_can_change_the_folder() {
    if !rustix::process::geteuid().is_root() {
        return skipped(
            "whether root refuses the folder of another user",
            "an ordinary user may use any folder",
        );
    }
    let folder = open_folder();
    let checkout = folder.path().join("checkout");
    let (theirs, open) = (folder.path().join("theirs"), folder.path().join("open"));
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let link = folder.path().join("link");
    // Root owns the link and the folder, but another user can move the folder away.
    let inside = theirs.join("inside");
    fs::create_dir(&inside).unwrap();
    symlink(&inside, &link).unwrap();
    for (state, named) in [(&theirs, &theirs), (&open, &open), (&link, &theirs)] {
        let said = refusal(&mut in_checkout(&checkout, state));
        for part in [named.to_str().unwrap(), "XDG_STATE_HOME"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
    for state in [theirs, open, inside] {
        assert!(!state.join("pageviews").exists(), "{}", state.display());
    }
}

#[test]
fn an_ordinary_user_can_run_the_program() {
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
    let data = made_in(folder.path()).join("data");
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
