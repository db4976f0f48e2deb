//! The URL names several hosts, and another one takes the writes.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::time::Instant;

use rocket::serde::json::Value;

use crate::common::{Stream, eventually, signal};
use crate::support::engine::patient_engine;
use crate::support::pair::{Pair, execute, host};
use crate::support::visitors::Visitors;
use crate::support::{self, App, binary, output, run, wait};

/// The count of `/` that the API tells, which the pool reads.
fn told(app: &App) -> i64 {
    let answer = app.get("/api/pages/");
    let answer: Value = rocket::serde::json::from_str(answer.as_str().unwrap()).unwrap();
    answer["views"].as_i64().unwrap()
}

/// Lets 32 visitors come to two replicas while the standby is promoted, after `before`. No view is
/// lost.
fn promoted_under_load(before: impl FnOnce(&Pair)) {
    let pair = Pair::start();
    wait(async {
        let replicas = [
            patient_engine(&pair.url()).await,
            patient_engine(&pair.url()).await,
        ];
        let visitors = Visitors::start(&replicas, 32);
        visitors.go_on(1_000).await;
        before(&pair);
        execute(&pair.standby, "SELECT pg_promote()").await;
        let promoted = Instant::now();
        visitors.go_on(1).await;
        println!("counted again after {:.1?}", promoted.elapsed());
        visitors.go_on(1_000).await;
        let failed = visitors.add_up(&pair.standby.url("pageviews")).await;
        assert_eq!(failed, 0, "acknowledged = counted = attempted");
    });
}

#[test]
fn a_killed_primary_costs_no_view() {
    promoted_under_load(|pair| signal(pair.primary.processes().unwrap()[0], "KILL"));
}

/// Nobody has told the old primary, and it answers as fast as the new one.
#[test]
fn a_primary_that_was_replaced_acknowledges_nothing() {
    promoted_under_load(|_| {});
}

#[test]
fn reads_and_live_totals_move_with_the_engine() {
    let pair = Pair::start();
    let app = pair.app();
    assert_eq!(app.visit(), 1);
    let mut stream = Stream::open(&app.url("/live"));
    stream.until(1);
    assert_eq!(told(&app), 1);
    pair.promote();
    // The old primary runs on, and would tell the old number for ever.
    assert_eq!(app.visit(), 2);
    stream.until(2);
    eventually("the API tells the new number", || told(&app) == 2);
    let log = app.log().join("\n");
    assert!(
        log.contains("host 2 of the database takes the writes now"),
        "{log}"
    );
}

/// As a floating address or the name of a managed service does. Connections that are open stay with
/// the old server.
#[test]
fn a_name_may_move_to_another_server() {
    let pair = Pair::start();
    let folder = tempfile::tempdir().unwrap();
    let (name, next) = (folder.path().join("name"), folder.path().join("next"));
    symlink(pair.primary.socket(), &name).unwrap();
    let app = App::patient(format!("postgres://pageviews@{}/pageviews", host(&name)));
    assert_eq!(app.visit(), 1);
    let mut stream = Stream::open(&app.url("/live"));
    stream.until(1);
    assert_eq!(told(&app), 1);
    pair.promote();
    symlink(pair.standby.socket(), &next).unwrap();
    fs::rename(&next, &name).unwrap();
    assert_eq!(app.visit(), 2);
    stream.until(2);
    eventually("the API tells the new number", || told(&app) == 2);
}

/// Nothing else would let a balancer send visits to the replica again.
#[test]
fn a_replica_without_visits_moves_too() {
    let pair = Pair::start();
    let app = pair.app();
    assert_eq!(app.visit(), 1);
    pair.promote();
    // Another replica counts at the new primary. The old one runs on.
    let other = App::on(pair.standby.url("pageviews"));
    other.wait_ready();
    assert_eq!(other.visit(), 2);
    eventually("the API tells the new number", || told(&app) == 2);
    app.wait_ready();
}

/// The old primary answers as fast as the new one.
#[test]
fn commands_find_the_primary_beside_one_that_was_replaced() {
    let pair = Pair::start();
    let app = pair.app();
    assert_eq!(app.visit(), 1);
    pair.promote();
    assert_eq!(app.visit(), 2);
    for number in 3..=8 {
        let (code, said) = run(&pair.url(), "[]", &["get", "/"]);
        assert_eq!((code, said), (0, (number - 1).to_string()));
        let (code, said) = run(&pair.url(), "[]", &["set", "/", &number.to_string()]);
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn the_log_of_several_hosts_names_the_remedy() {
    let pair = Pair::start();
    wait(execute(&pair.primary, "CREATE ROLE counting LOGIN"));
    let app = App::on(pair.url().replace("pageviews@", "counting@"));
    eventually("the remedy", || {
        let log = app.log().join("\n");
        log.contains("run `pageviews migrate` as the owner of the tables")
    });
    assert_eq!(app.get("/readyz").as_str().unwrap(), "migrating\n");
}

#[test]
fn a_server_that_takes_no_writes_any_more_is_left_at_once() {
    let pair = Pair::start();
    let app = pair.app();
    assert_eq!(app.visit(), 1);
    pair.promote();
    wait(execute(
        &pair.primary,
        "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()",
    ));
    eventually("the setting", || {
        wait(async {
            let mut old = support::connect(&pair.primary.url("pageviews")).await;
            support::setting(&mut old, "default_transaction_read_only").await == "on"
        })
    });
    assert_eq!(app.visit(), 2);
    let log = app.log().join("\n");
    assert!(log.contains("database read-only, trying again"), "{log}");
    assert_eq!(
        wait(support::counted(&pair.standby.url("pageviews"), "/")),
        2
    );
}

#[test]
fn without_a_host_that_takes_writes_the_program_says_so() {
    let pair = Pair::start();
    let app = pair.app();
    assert_eq!(app.visit(), 1);
    pair.primary.stop().unwrap();
    eventually("the reason", || {
        app.get("/readyz").as_str().unwrap() == "read-only\n"
    });
    eventually("the log names each host", || {
        let log = app.log().join("\n");
        log.contains("host 1: ") && log.contains("; host 2: it takes no writes")
    });
    let url = pair.url();
    let get = output(binary().args(["get", "/"]).env("DATABASE_URL", &url));
    let said = String::from_utf8(get.stderr).unwrap();
    assert!(said.contains("; host 2: it takes no writes"), "{said}");
    pair.promote();
    app.wait_ready();
    assert_eq!(app.visit(), 2);
    // The commands find the host too.
    let set = output(
        binary()
            .args(["set", "/", "1000"])
            .env("DATABASE_URL", &url),
    );
    assert!(set.status.success(), "{set:?}");
    assert_eq!(app.visit(), 1001);
    let migrate = output(binary().arg("migrate").env("DATABASE_URL", &url));
    assert!(migrate.status.success(), "{migrate:?}");
}

/// A node that is lost in silence must not hide that a standby was promoted.
#[test]
fn while_a_host_is_silent_the_others_are_tried_again() {
    let pair = Pair::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    silent.set_nonblocking(true).unwrap();
    let standby = host(pair.standby.socket());
    let url = format!("postgres://pageviews@{address},{standby}/pageviews");
    let app = App::on(url);
    let sessions = || {
        let ended = "SELECT sessions FROM pg_stat_database WHERE datname = 'pageviews'";
        wait(async {
            let mut admin = support::connect(&pair.standby.url("postgres")).await;
            let ended = sqlx::query_scalar::<_, i64>(ended);
            ended.fetch_one(&mut admin).await.unwrap()
        })
    };
    let mut held = Vec::new();
    let mut before = sessions();
    eventually("two attempts while the silent host has one", || {
        while let Ok((connection, _)) = silent.accept() {
            held.push(connection);
            before = sessions();
        }
        !held.is_empty() && sessions() >= before + 2
    });
    pair.promote();
    app.wait_ready();
    assert_eq!(app.visit(), 1);
}
