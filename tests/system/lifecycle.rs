//! The real binary starts, stops in time, and says in one line why it cannot start.

use std::collections::HashSet;
use std::fs;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{eventually, signal};
use crate::support::{self, App, binary, wait};

/// The time that an orderly end may take.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn terminated_under_load_the_program_ends_in_time_and_the_count_goes_on() {
    let url = wait(support::database());
    let mut app = App::on(&url);
    app.wait_ready();
    assert_eq!((app.visit(), app.visit()), (1, 2));

    let (answers, took) = thread::scope(|scope| {
        let clients = [(); 8].map(|()| scope.spawn(|| visit_until_refused(&app)));
        eventually("load", || wait(support::counted(&url, "/")) > 100);
        let begun = Instant::now();
        signal(app.id(), "TERM");
        let answers: Vec<_> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect();
        eventually("the end", || TcpStream::connect(&app.address).is_err());
        (answers, begun)
    });
    assert_eq!(app.ended().code(), Some(0));
    assert!(took.elapsed() < STOPS_WITHIN, "{:?}", took.elapsed());

    let counted = wait(support::counted(&url, "/"));
    assert_eq!(
        HashSet::<_>::from_iter(&answers).len(),
        answers.len(),
        "no number twice"
    );
    assert!(
        answers.len() as i64 + 2 <= counted,
        "{} acknowledged, {counted} counted",
        answers.len() + 2
    );

    let again = App::on(&url);
    again.wait_ready();
    assert_eq!(again.visit(), counted + 1);
}

/// Visits until the application stops, and returns the numbers.
fn visit_until_refused(app: &App) -> Vec<i64> {
    let mut numbers = Vec::new();
    while let Ok(answer) = minreq::get(app.url("/")).with_timeout(10).send() {
        match answer.status_code {
            200 => numbers.push(support::number(answer.as_str().unwrap())),
            status => assert!([503, 504].contains(&status), "{status}"),
        }
    }
    numbers
}

#[test]
fn a_signal_ends_the_program_in_time_with_or_without_its_database() {
    for (name, url) in [
        ("INT", wait(support::database())),
        ("TERM", "postgres://nobody@127.0.0.1:1/nothing".into()),
    ] {
        let mut app = App::on(&url);
        let begun = Instant::now();
        signal(app.id(), name);
        assert_eq!(app.ended().code(), Some(0), "SIG{name}");
        assert!(
            begun.elapsed() < STOPS_WITHIN,
            "SIG{name} took {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let url = wait(support::database());
    let first = App::on(&url);
    let port = first.address.rsplit(':').next().unwrap();
    let second = support::output(binary().env("DATABASE_URL", &url).env("ROCKET_PORT", port));
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains("cannot listen") && said.contains("ROCKET_PORT"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_broken_template_stops_the_launch() {
    for entry in fs::read_dir("templates").unwrap() {
        let name = entry.unwrap().file_name();
        let templates = tempfile::tempdir().unwrap();
        support::copy_templates(templates.path());
        fs::write(templates.path().join(&name), "{% if %}").unwrap();
        let output = support::output(
            binary()
                .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
                .env("ROCKET_TEMPLATE_DIR", templates.path()),
        );
        assert_eq!(output.status.code(), Some(1), "{name:?}");
    }
}

#[test]
fn a_program_whose_counting_fails_for_good_ends_with_exit_code_1() {
    let url = wait(support::database());
    let mut app = App::on(&url);
    app.wait_ready();
    assert_eq!(app.visit(), 1);
    // The number after the next one does not exist. Debug builds panic when they calculate it.
    wait(async {
        let mut admin = support::connect(&url).await;
        let most = "UPDATE pages SET views = 9223372036854775806";
        sqlx::query(most).execute(&mut admin).await.unwrap();
    });
    assert_ne!(app.get("/").status_code, 200);
    assert_eq!(app.ended().code(), Some(1));
    let said = app.stderr();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("pageviews: the counting task has failed"),
        "{said}"
    );
}

#[test]
fn it_serves_ipv6_alone_or_beside_ipv4() {
    let url = wait(support::database());
    for (address, hosts) in [("::", &["127.0.0.1", "[::1]"][..]), ("::1", &["[::1]"])] {
        let app = App::start(
            binary()
                .env("DATABASE_URL", &url)
                .env("ROCKET_ADDRESS", address),
        );
        let (_, port) = app.address.rsplit_once(':').unwrap();
        let probe = |arguments: &[String]| {
            let mut probe = binary();
            probe
                .env("ROCKET_ADDRESS", address)
                .env("ROCKET_PORT", port);
            support::output(probe.arg("health").args(arguments))
        };
        eventually("readiness", || probe(&[]).status.success());
        for host in hosts {
            let output = probe(&[format!("http://{host}:{port}/readyz")]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
        }
    }
}
