//! The tests leave no program running, however they end.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Supervised, eventually, signal};
use crate::support;

#[test]
fn a_test_that_is_killed_leaves_no_program_behind() {
    let mut tests = Supervised::spawn(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", crate::logs::LONG])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
    .unwrap();
    let parent = tests.child.id().to_string();
    let mut programs = Vec::new();
    eventually("the program runs", || {
        let found = support::output(Command::new("pgrep").args(["-x", "pageviews", "-P", &parent]));
        let found = String::from_utf8(found.stdout).unwrap();
        programs = found.lines().map(String::from).collect();
        !programs.is_empty()
    });
    signal(tests.child.id(), "KILL");
    tests.child.wait().unwrap();
    // A process that has ended has no executable any more.
    eventually("the end of the program", || {
        let executable = |pid: &String| fs::read_link(format!("/proc/{pid}/exe"));
        programs.iter().all(|pid| executable(pid).is_err())
    });
}
