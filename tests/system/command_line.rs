//! Arguments and exit codes of the real binary.

use std::process::Output;

use crate::support::{self, App, binary, wait};

#[test]
fn the_health_command_distinguishes_ready_not_ready_and_absent() {
    let app = App::on(wait(support::database()));
    app.wait_ready();
    let ready = run(&["health", &app.url("/readyz")]);
    assert_eq!(ready.status.code(), Some(0));

    let lost = App::on("postgres://nobody@127.0.0.1:1/nothing");
    assert_eq!(
        run(&["health", &lost.url("/healthz")]).status.code(),
        Some(0)
    );
    let not_ready = run(&["health", &lost.url("/readyz")]);
    assert_eq!(not_ready.status.code(), Some(1));

    // Without a URL the command asks its own port. Nothing listens on port 1.
    let absent = support::output(binary().arg("health").env("ROCKET_PORT", "1"));
    assert_eq!(absent.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&absent.stderr).lines().count(), 1);
}

#[test]
fn the_command_line_follows_the_conventions() {
    for (arguments, code) in [
        (["--help"], 0),
        (["--version"], 0),
        (["--unknown"], 2),
        (["unknown"], 2),
    ] {
        assert_eq!(run(&arguments).status.code(), Some(code), "{arguments:?}");
    }
    assert!(String::from_utf8_lossy(&run(&["--unknown"]).stderr).contains("Usage"));
    assert!(
        String::from_utf8_lossy(&run(&["--version"]).stdout).contains(env!("CARGO_PKG_VERSION"))
    );
}

fn run(arguments: &[&str]) -> Output {
    support::output(binary().args(arguments))
}
