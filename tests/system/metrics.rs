//! The metrics count what was done.

mod exposition;

use std::io::{Read, Write};
use std::net::TcpStream;

use rocket::tokio;

use self::exposition::Metrics;
use crate::SOON;
use crate::support::proxy::{Cut, Proxy};
use crate::support::{self, App, ask, deployed, wait};

const REQUESTS: &str = "pageviews_http_request_duration_seconds_count";

#[test]
fn the_metrics_are_the_numbers_of_what_was_done() {
    let url = wait(support::database());
    let app = App::start(&mut deployed(&url));
    app.wait_ready();
    let before = Metrics::of(&app);
    for (series, value) in [
        ("pageviews_views_total", 0.),
        ("pageviews_batch_views_count", 0.),
        ("pageviews_commit_duration_seconds_count", 0.),
        ("pageviews_queue_views", 0.),
        ("pageviews_queue_limit_views", 2_000.),
        (r#"pageviews_views_refused_total{reason="busy"}"#, 0.),
        (r#"pageviews_views_refused_total{reason="late"}"#, 0.),
        (r#"pageviews_views_refused_total{reason="stopping"}"#, 0.),
        ("pageviews_batch_retries_total", 0.),
        ("pageviews_batch_rejections_total", 0.),
        ("pageviews_notification_queue_ratio", 0.),
        (
            r#"pageviews_unknown_outcomes_total{outcome="committed"}"#,
            0.,
        ),
        (
            r#"pageviews_unknown_outcomes_total{outcome="repeated"}"#,
            0.,
        ),
        ("pageviews_database_ready", 1.),
        ("pageviews_live_streams", 0.),
        ("pageviews_live_streams_limit", 1_000.),
        (
            concat!(
                "pageviews_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"}"
            ),
            1.,
        ),
    ] {
        assert_eq!(before.get(series), value, "{series}");
    }
    assert!(before.get("pageviews_pool_connections_limit") >= 1.);
    // The readiness check took one, which may not be back in the pool yet.
    let connections = ["idle", "used"]
        .map(|state| before.get(&format!(r#"pageviews_pool_connections{{state="{state}"}}"#)));
    assert_eq!(connections.iter().sum::<f64>(), 1.);

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert!(app.visit() > 0)));
        }
    });
    let hostile = ["/nowhere", "/wp-login.php", "/%00", "/a\"b", "/none?x"];
    for path in hostile.iter().cycle().take(60) {
        ask(&app, path, "X: y");
    }
    ask(&app, "/", "Sec-Purpose: prefetch");
    app.get("/style.css");
    let mut stream = TcpStream::connect(&app.address).unwrap();
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    let after = Metrics::of(&app);
    assert_eq!(after.get("pageviews_live_streams"), 1.);
    assert_eq!(after.get("pageviews_views_total"), 100.);
    assert_eq!(wait(support::counted(&url, "/")), 100);
    assert_eq!(after.get("pageviews_batch_views_sum"), 100.);
    let batches = after.get("pageviews_batch_views_count");
    assert!((1. ..=100.).contains(&batches));
    assert_eq!(
        after.get(r#"pageviews_batch_views_bucket{le="4096"}"#),
        batches
    );
    assert_eq!(
        after.get("pageviews_commit_duration_seconds_count"),
        batches
    );
    let requests = |route, status| {
        after.get(&format!(
            r#"{REQUESTS}{{route="{route}",status="{status}"}}"#
        ))
    };
    assert_eq!(requests("/", 200), 100.);
    // A prefetch is no view, so no view was refused.
    assert_eq!(requests("/", 403), 1.);
    assert_eq!(
        after.get(r#"pageviews_views_refused_total{reason="not_ready"}"#),
        before.get(r#"pageviews_views_refused_total{reason="not_ready"}"#)
    );
    assert!(requests("none", 404) >= 30.);
    assert_eq!(requests("/style.css", 200), 1.);
    // A stream is counted as soon as it begins.
    assert_eq!(requests("/live/<page..>", 200), 1.);
    assert_eq!(requests("/metrics", 200), 1., "the one before this");
    assert_eq!(
        after.routes(),
        [
            "/",
            "/live/<page..>",
            "/metrics",
            "/readyz",
            "/style.css",
            "none"
        ]
    );
}

#[test]
fn a_batch_whose_outcome_was_lost_is_in_the_metrics() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = wait(support::database());
    let proxy = runtime.block_on(Proxy::to(&url));
    let app = App::on(&proxy.url);
    app.wait_ready();
    let mut expected = 0;
    let mut visit = || {
        expected += 1;
        assert_eq!(app.visit(), expected);
    };
    for cut in [Cut::AfterCommit, Cut::Before, Cut::AfterCommit] {
        // The proxy recognises a batch by a statement that was prepared before.
        visit();
        proxy.arm(cut);
        visit();
    }
    assert_eq!(proxy.cuts(), 3);
    let metrics = Metrics::of(&app);
    assert_eq!(metrics.get("pageviews_batch_retries_total"), 3.);
    let outcome = |outcome| {
        metrics.get(&format!(
            r#"pageviews_unknown_outcomes_total{{outcome="{outcome}"}}"#
        ))
    };
    assert_eq!((outcome("committed"), outcome("repeated")), (2., 1.));
    // Each view was counted once.
    assert_eq!(metrics.get("pageviews_views_total"), 6.);
    assert_eq!(wait(support::counted(&url, "/")), 6);
}

#[test]
fn refusals_and_the_database_away_are_in_the_metrics() {
    let app = App::on("postgres://nobody@127.0.0.1:1/nothing");
    for _ in 0..3 {
        assert_eq!(app.get("/").status_code, 503);
    }
    // Reading is no view, so none was refused.
    assert_eq!(app.get("/api/pages/").status_code, 503);
    let metrics = Metrics::of(&app);
    assert_eq!(
        metrics.get(r#"pageviews_views_refused_total{reason="not_ready"}"#),
        3.
    );
    assert_eq!(metrics.get("pageviews_database_ready"), 0.);
    assert_eq!(metrics.get("pageviews_views_total"), 0.);
    assert_eq!(
        metrics.get(&format!(r#"{REQUESTS}{{route="/",status="503"}}"#)),
        3.
    );
}
