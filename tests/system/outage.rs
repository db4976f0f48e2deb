//! While the database is absent, killed or hanging, requests are answered in time and no view is
//! lost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use private_postgres::PrivatePostgres;

use crate::SOON;
use crate::common::{eventually, header, signal};
use crate::support::{self, App, binary};

/// The answer without a database, and the time that it may take.
type Refusal = (u16, Duration);

/// The database may be restarting, so the view waits until its deadline. Then it may have been
/// counted. One second more is for a busy machine.
const WHILE_RESTARTING: Refusal = (504, Duration::from_millis(6_000 + 1_000));

/// The view was not counted.
const WITHOUT: Refusal = (503, Duration::from_millis(3_000));

/// Visits while the database is away, and is refused.
fn is_refused(app: &App, (status, within): Refusal) {
    let begun = Instant::now();
    let answer = app.get("/");
    assert_eq!(answer.status_code, status);
    assert!(header(&answer, "retry-after").is_some());
    assert!(begun.elapsed() < within, "{:?}", begun.elapsed());
    assert_eq!(app.get("/readyz").status_code, 503);
    assert_eq!(app.get("/healthz").status_code, 200);
}

#[test]
fn the_program_starts_without_its_database_and_becomes_ready_with_it() {
    let server = PrivatePostgres::ephemeral().unwrap();
    server.stop().unwrap();
    let app = App::on(server.url("pageviews"));
    is_refused(&app, WITHOUT);
    for path in ["/readyz", "/startupz"] {
        assert_eq!(app.get(path).as_str().unwrap(), "unreachable\n");
    }
    server.restart().unwrap();
    app.wait_ready();
    assert_eq!(app.get("/startupz").status_code, 200);
    assert_eq!(app.visit(), 1);
}

/// In a cluster visitors come as soon as the port is open: Caddy uses a replica before its first
/// health check.
#[test]
fn the_first_visitor_waits_until_the_database_has_answered() {
    let server = PrivatePostgres::ephemeral().unwrap();
    // The program cannot connect before the visitor comes, however fast the machine is.
    let stopped = Stopped::processes(server.processes().unwrap());
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    thread::scope(|scope| {
        let app = scope.spawn(|| {
            let port = address.port().to_string();
            App::start(
                binary()
                    .env("DATABASE_URL", server.url("pageviews"))
                    .env("ROCKET_PORT", port),
            )
        });
        let mut visitor = None;
        eventually("the port", || {
            visitor = TcpStream::connect(address).ok();
            visitor.is_some()
        });
        let mut visitor = visitor.unwrap();
        visitor
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        visitor.set_read_timeout(Some(SOON)).unwrap();
        drop(stopped);
        let mut answer = String::new();
        visitor.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(support::number(&answer), 1);
        drop(app.join());
    });
}

#[test]
fn the_first_visitor_does_not_wait_for_a_database_that_hangs() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let _stopped = Stopped::processes(server.processes().unwrap());
    let begun = Instant::now();
    let app = App::on(server.url("pageviews"));
    assert!(begun.elapsed() < WITHOUT.1, "{:?}", begun.elapsed());
    is_refused(&app, WITHOUT);
}

#[test]
fn a_visit_waits_while_the_database_restarts() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let app = App::patient(server.url("pageviews"));
    for expected in 1..=5 {
        signal(server.processes().unwrap()[0], "KILL");
        let number = thread::scope(|scope| {
            let visitor = scope.spawn(|| app.visit());
            // This fails until the last process of the killed server has ended.
            eventually("the restart", || server.restart().is_ok());
            visitor.join().unwrap()
        });
        assert_eq!(number, expected);
    }
}

#[test]
fn only_the_first_visit_waits_for_a_database_that_stays_away() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let app = App::on(server.url("pageviews"));
    app.wait_ready();
    assert_eq!(app.visit(), 1);
    server.stop().unwrap();
    is_refused(&app, WHILE_RESTARTING);
    for _ in 0..3 {
        is_refused(&app, WITHOUT);
    }
    // It was ready once, and a restart would not mend a lost database.
    assert_eq!(app.get("/startupz").status_code, 200);
    server.restart().unwrap();
    app.wait_ready();
    // The refused visits were never sent to the database.
    assert_eq!(app.visit(), 2);
}

#[test]
fn visits_wait_for_a_lost_database_as_long_as_the_owner_wants() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let app = App::patient(server.url("pageviews"));
    assert_eq!(app.visit(), 1);
    server.stop().unwrap();
    let lost = Instant::now();
    let mut numbers = thread::scope(|scope| {
        let first = scope.spawn(|| app.visit());
        // Longer than the default lets a visitor wait, and new visitors come in.
        eventually("a long outage", || lost.elapsed() > Duration::from_secs(8));
        let second = scope.spawn(|| app.visit());
        eventually("the second visit waits", || {
            let metrics = app.get("/metrics");
            let metrics = metrics.as_str().unwrap();
            metrics
                .lines()
                .any(|line| line == "pageviews_queue_views 1")
        });
        server.restart().unwrap();
        [first.join().unwrap(), second.join().unwrap()]
    });
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[test]
fn a_database_that_hangs_is_not_waited_for_beyond_the_deadline() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let app = App::on(server.url("pageviews"));
    app.wait_ready();
    assert_eq!(app.visit(), 1);
    let stopped = Stopped::processes(server.processes().unwrap());
    is_refused(&app, WHILE_RESTARTING);
    is_refused(&app, WITHOUT);
    drop(stopped);
    app.wait_ready();
    assert!(app.visit() > 1);
}

/// Processes that do nothing until this is dropped.
struct Stopped(Vec<u32>);

impl Stopped {
    fn processes(pids: Vec<u32>) -> Self {
        pids.iter().for_each(|pid| signal(*pid, "STOP"));
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| signal(*pid, "CONT"));
    }
}
