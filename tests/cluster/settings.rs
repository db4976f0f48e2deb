//! The settings of an owner are in `.env`, and none of README's commands loses them.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use crate::common::eventually;
use crate::compose::Cluster;

/// Runs one of README's commands, and waits until `replicas` replicas are healthy.
fn run(cluster: &Cluster, command: &str, replicas: usize) {
    cluster.compose(&command.split(' ').collect::<Vec<_>>());
    eventually(&format!("{replicas} replicas after `{command}`"), || {
        cluster.containers("app").len() == replicas
    });
    cluster.wait_healthy();
}

/// Whether `check` has a line that starts with `start` and contains `text`.
fn has_line(report: &str, start: &str, text: &str) -> bool {
    report
        .lines()
        .any(|line| line.starts_with(start) && line.contains(text))
}

#[test]
#[ignore = "needs Docker"]
fn settings_survive_and_check_reports_a_page_that_is_no_longer_counted() {
    let cluster =
        Cluster::with_settings("ROCKET_PAGES='[\"readme\", \"blog/*\"]'\nAPP_REPLICAS=2\n");
    let badge = || cluster.get("/badge/readme.svg").status_code;
    run(&cluster, "up -d", 2);
    assert_eq!(badge(), 200);

    let url = cluster.url("/badge/readme.svg?count=no");
    let (watching, stopped) = mpsc::channel::<()>();
    // The thread also stops when an assertion fails, because that drops `watching`.
    let watcher = thread::spawn(move || {
        let mut refused = Vec::new();
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            let answer = minreq::get(&url).with_timeout(20).send().unwrap();
            if answer.status_code != 200 {
                refused.push(answer.status_code);
            }
        }
        refused
    });
    for (command, replicas) in [("up -d --scale app=3", 3), ("up -d", 2)] {
        run(&cluster, command, replicas);
        assert_eq!(badge(), 200, "after `{command}`");
    }
    drop(watching);
    let refused = watcher.join().unwrap();
    // One request may be on its way to the replica that stops: see "Challenges" in ARCHITECTURE.md.
    assert!(
        refused.is_empty() || refused == [502],
        "all along: {refused:?}"
    );

    let (passed, report) = cluster.check();
    assert!(passed, "{report}");
    assert!(
        has_line(&report, "  ok      Pages", "/, readme, blog/*"),
        "{report}"
    );

    cluster.write_settings("ROCKET_PAGES='[\"blog/*\"]'\nAPP_REPLICAS=2\n");
    run(&cluster, "up -d", 2);
    assert_eq!(badge(), 404);
    let (passed, report) = cluster.check();
    assert!(passed, "a warning is no failure: {report}");
    assert!(has_line(&report, "  WARNING Pages", "readme"), "{report}");
}

#[test]
#[ignore = "needs Docker"]
fn a_wrong_number_of_replicas_is_one_line() {
    let cluster = Cluster::with_settings("APP_REPLICAS=many\n");
    let output = cluster.try_compose(&["up", "-d"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains("app.scale") && error.contains(r#""many""#),
        "{error}"
    );
    assert!(cluster.all_containers().is_empty());
}

#[test]
fn env_example_has_every_setting_at_its_default() {
    let example = include_str!("../../.env.example");
    let values: BTreeMap<_, _> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .filter(|(name, _)| !name.contains(' '))
        .collect();
    let compose = concat!(
        include_str!("../../docker-compose.yml"),
        include_str!("../../docker-compose.override.yml")
    );
    // Compose itself reads this one.
    let mut defaults = BTreeMap::from([("COMPOSE_PROFILES", "")]);
    for setting in compose.split("${").skip(1) {
        let (setting, _) = setting.split_once('}').unwrap();
        if let Some((name, default)) = setting.split_once(":-") {
            defaults.insert(name, default);
        }
    }
    assert!(values.keys().eq(defaults.keys()), "{values:?} {defaults:?}");
    for (name, default) in defaults {
        // With an empty default the program uses its own default, which the example has.
        assert!(default.is_empty() || values[name] == default, "{name}");
    }
    assert!(
        example
            .lines()
            .all(|line| line.is_empty() || line.starts_with('#')),
        "an unchanged copy sets nothing"
    );
}
