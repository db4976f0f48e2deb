//! Each service is killed under load: no view is lost or counted twice, and the service comes back
//! by itself.

use crate::common::answer::heading;
use crate::common::{eventually, header};
use crate::compose::Cluster;
use crate::visitors::Visits;

fn survives_a_crash_of(service: &str) {
    let cluster = Cluster::up(&[]);
    let before = cluster.visit();
    let visits = Visits::during(&cluster, |visits| {
        eventually("load", || visits.acknowledged() > 50);
        let crashed = cluster.containers(service);
        cluster.crash(service);
        let so_far = visits.acknowledged();
        eventually("recovery", || visits.acknowledged() > so_far + 50);
        cluster.wait_healthy();
        assert_eq!(
            cluster.containers(service),
            crashed,
            "Docker started it again"
        );
    });
    visits.add_up(cluster.visit() - 1 - before, 0..=0);
}

#[test]
#[ignore = "needs Docker"]
fn survives_a_crash_of_the_app() {
    survives_a_crash_of("app");
}

#[test]
#[ignore = "needs Docker"]
fn survives_a_crash_of_the_database() {
    survives_a_crash_of("db");
}

#[test]
#[ignore = "needs Docker"]
fn survives_a_crash_of_the_web_server() {
    survives_a_crash_of("web");
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
