//! The containers of a cluster, asked past Compose.

use std::process::{Command, Output};

use rocket::serde::json::{self, Value};

use crate::common::signal;

/// Runs docker, which must succeed. Returns its output.
pub fn docker(arguments: &[&str]) -> String {
    succeeded(
        Command::new("docker").args(arguments).output().unwrap(),
        arguments,
    )
}

/// The value of a metric of the replica in the container `id`.
pub fn metric(id: &str, name: &str) -> f64 {
    try_metric(id, name).unwrap()
}

/// The same of a metric that there may not be yet.
pub fn try_metric(id: &str, name: &str) -> Option<f64> {
    // The image has no curl, but the program's own probe.
    let url = "http://127.0.0.1:8000/metrics";
    let metrics = docker(&["exec", id, "/app/pageviews", "health", url]);
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value?.parse().ok()
}

/// Kills the first process of the container `id`. Docker starts a container again only if it was
/// not Docker that stopped it.
pub fn kill(id: &str) {
    let pid = inspect(id)["State"]["Pid"].as_u64().unwrap();
    signal(pid.try_into().unwrap(), "KILL");
}

pub fn inspect(id: &str) -> Value {
    let mut found: Vec<Value> = json::from_str(&docker(&["inspect", id])).unwrap();
    found.remove(0)
}

/// The output of a command that must succeed.
pub fn succeeded(output: Output, arguments: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
