//! What a checkout of this repository holds, on every machine.

// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[path = "common/skip.rs"]
mod skip;

/// What git answers in `folder`.
fn git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    let output = command.arg("-C").arg(folder).args(arguments).output();
    let output = output.map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8(output.stdout).unwrap())
}

/// A database keeps the checksum of each migration, and refuses a program that has another one.
#[test]
fn the_migrations_in_the_program_hold_no_carriage_return() {
    let migrations = sqlx::migrate!();
    assert!(migrations.iter().count() > 1);
    for migration in migrations.iter() {
        let name = &migration.description;
        assert!(!migration.sql.as_str().contains('\r'), "{name}");
    }
}

#[test]
fn a_clone_has_the_same_bytes_whatever_git_does_to_line_endings() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let what = "whether a clone with core.autocrlf=true has the same bytes";
    let repository = git(checkout, &["rev-parse", "--show-toplevel"]);
    let clone = folder.path().join("clone");
    let copy = |repository: String| {
        let (from, to) = (repository.trim_end(), clone.to_str().unwrap());
        let settings = ["-c", "core.autocrlf=true", "-c", "core.eol=crlf"];
        git(
            checkout,
            &[&["clone", "--quiet"], &settings[..], &[from, to]].concat(),
        )
    };
    if skip::or_skip(what, repository.and_then(copy)).is_none() {
        return;
    }
    // Each line has the line endings in the index and in the folder, such as "i/lf w/crlf".
    let files = git(&clone, &["ls-files", "--eol"]).unwrap();
    assert!(files.lines().count() > 100, "{files}");
    let is_same = |line: &str| {
        line.starts_with("i/lf    w/lf ")
            || line.starts_with("i/none  w/none")
            || line.starts_with("i/-text w/-text") && line.ends_with(".png")
    };
    let changed = files.lines().find(|line| !is_same(line));
    assert_eq!(changed, None);
}
