//! The cluster with killed parts: no view is lost or counted twice, and each part comes back by
//! itself.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{connect, reset};
use crate::common::answer::heading;
use crate::common::{eventually, header};
use crate::compose::Cluster;
use crate::visitors::{PAUSE, Visits, finally_stop, request};

const VISITORS: usize = 64;

/// How many connections are reset at a time.
const BURST: usize = 16;

/// Sends requests for a badge and resets their connections, until `stop`. Returns how many it has
/// sent.
fn reset_connections(port: u16, stop: &AtomicBool) -> i64 {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let opened = (0..BURST).map_while(|_| connect(port).ok());
        let mut connections: Vec<_> = opened.collect();
        for connection in &mut connections {
            sent += i64::from(connection.write_all(&request("/badge/x.svg")).is_ok());
        }
        connections.into_iter().for_each(reset);
        thread::sleep(PAUSE);
    }
    sent
}

/// Kills each part twice, while visitors come: first one replica, then all of them at once.
fn kill_each_part_twice(cluster: &Cluster, visits: &Visits) {
    for replicas in [1, 3] {
        for service in ["app", "db", "web"] {
            let mut killed = cluster.containers(service);
            killed.truncate(replicas);
            let begun = visits.elapsed();
            cluster.crash(service, &killed);
            let healthy = visits.elapsed() - begun;
            let so_far = visits.acknowledged();
            eventually("recovery", || {
                visits.acknowledged() > so_far + 10 * VISITORS
            });
            let number = killed.len();
            println!("{number} of {service} killed at {begun:.1?}: healthy after {healthy:.1?}");
        }
    }
}

#[test]
#[ignore = "needs Docker"]
fn three_replicas_with_each_part_killed_twice_account_for_every_view() {
    // The resets count for a page of their own. So the account of / is not blurred by views that
    // nobody saw.
    let cluster = Cluster::up(&[("APP_REPLICAS", "3"), ("ROCKET_PAGES", r#"["x"]"#)]);
    let before = cluster.visit();
    let mut resets = 0;
    let visits = cluster.visited_by(VISITORS, |visits| {
        eventually("load", || visits.acknowledged() > VISITORS);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let resetter = scope.spawn(|| reset_connections(cluster.http_port, &stop));
            finally_stop(&stop, || kill_each_part_twice(&cluster, visits));
            resets = resetter.join().unwrap();
        });
    });
    visits.add_up(cluster.visit() - 1 - before, 0..=0);
    let reset = cluster.total("x");
    println!("{resets} requests were reset, and {reset} of these were counted");
    assert!(0 < reset && reset <= resets);
}

#[test]
#[ignore = "needs Docker"]
fn visits_wait_through_a_long_outage_if_the_owner_wants() {
    let patient = [
        ("ROCKET_VIEWS", "{deadline=30}"),
        ("APP_TIMEOUT", "35s"),
        ("APP_REPLICAS", "2"),
    ];
    let cluster = Cluster::up(&patient);
    let before = cluster.visit();
    let visits = cluster.visited_by(32, |visits| {
        eventually("load", || visits.acknowledged() > 100);
        cluster.compose(&["stop", "db"]);
        let stopped = visits.elapsed();
        // Longer than the defaults let the app and Caddy wait.
        let end = stopped + Duration::from_secs(17);
        eventually("a long outage", || visits.elapsed() > end);
        cluster.compose(&["start", "db"]);
        let so_far = visits.acknowledged();
        eventually("visits are counted again", || {
            visits.acknowledged() > so_far + 100
        });
        println!("counted again after {:.1?}", visits.elapsed() - stopped);
    });
    assert_eq!(visits.refused(), Vec::<String>::new());
    visits.add_up(cluster.visit() - 1 - before, 0..=0);
}

#[test]
#[ignore = "needs Docker"]
fn without_an_app_visitors_see_a_calm_page() {
    let cluster = Cluster::up(&[]);
    cluster.compose(&["stop", "-t", "5", "app"]);
    let answer = cluster.get("/");
    assert!(
        (502..=503).contains(&answer.status_code),
        "{}",
        answer.status_code
    );
    assert_eq!(header(&answer, "retry-after").as_deref(), Some("2"));
    assert_eq!(
        header(&answer, "cache-control").as_deref(),
        Some("no-store")
    );
    assert_eq!(header(&answer, "server"), None);
    let heading = heading(answer.as_str().unwrap()).unwrap();
    let status = answer.status_code.to_string();
    assert!(heading.contains(&status), "{heading}");
    let json = minreq::get(cluster.url("/"))
        .with_header("Accept", "application/json")
        .with_timeout(20)
        .send();
    let json = json.unwrap();
    assert_eq!(
        header(&json, "content-type").as_deref(),
        Some("application/problem+json")
    );
    let json: rocket::serde::json::Value =
        rocket::serde::json::from_str(json.as_str().unwrap()).unwrap();
    assert_eq!(json["type"], "about:blank");
    assert_eq!(json["status"], answer.status_code);
}
