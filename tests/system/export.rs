//! Exports: CSV that is written as the database sends it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::Supervised;
use crate::support::{self, App, binary, wait};

/// A database with this many pages, besides `/`.
fn with_pages(count: i64) -> String {
    let url = wait(support::database());
    App::on(&url).wait_ready();
    wait(async {
        sqlx::query("INSERT INTO pages SELECT 'page/' || n, n FROM generate_series(1, $1) AS n")
            .bind(count)
            .execute(&mut support::connect(&url).await)
            .await
            .unwrap()
    });
    url
}

/// `pageviews export`, whose output this test reads.
fn export(url: &str) -> Supervised {
    let mut export = binary();
    export.arg("export").env("DATABASE_URL", url);
    Supervised::spawn(export.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap()
}

#[test]
fn an_export_of_a_million_pages_is_not_built_in_memory() {
    const PAGES: i64 = 1_000_000;
    let mut export = export(&with_pages(PAGES));
    let mut lines = BufReader::new(export.child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "page,views");
    // From here on the pipe is full until it is read, so the program has not ended. Whatever it
    // collects before it writes, it has collected by now.
    let status = fs::read_to_string(format!("/proc/{}/status", export.child.id())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 48 * 1024, "{peak}");
    assert_eq!(lines.map_while(Result::ok).count() as i64, PAGES);
    assert!(export.child.wait().unwrap().success());
}

#[test]
fn who_stops_reading_causes_no_error() {
    let mut export = export(&with_pages(100_000));
    let mut first = String::new();
    let mut output = BufReader::new(export.child.stdout.take().unwrap());
    output.read_line(&mut first).unwrap();
    assert_eq!(first, "page,views\n");
    drop(output);
    let mut error = String::new();
    let mut stderr = BufReader::new(export.child.stderr.take().unwrap());
    stderr.read_line(&mut error).unwrap();
    assert_eq!(error, "");
    assert!(export.child.wait().unwrap().success());
}
