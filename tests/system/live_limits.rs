//! A replica holds a bounded number of streams, and so does each client.

use crate::common::{Stream, eventually};
use crate::support::{self, App, deployed, wait};

/// The program with this table `live`.
fn app(live: &str) -> App {
    let url = wait(support::database());
    let app = App::start(
        deployed(&url)
            .env("ROCKET_LIVE", live)
            .env("ROCKET_PAGES", r#"["readme"]"#),
    );
    app.wait_ready();
    app
}

fn open(app: &App, address: &str) -> Result<Stream, (u16, String)> {
    Stream::open_from(address, &app.url("/live"))
}

/// The refusal of a stream.
fn refusal(app: &App, address: &str) -> String {
    let Err((status, text)) = open(app, address) else {
        panic!("{address} got a stream")
    };
    assert_eq!(status, 429, "{address}: {text}");
    text
}

/// Waits until `address` gets a stream. The program notices the end of a stream when it writes to
/// it, at the latest.
fn eventually_open(app: &App, address: &str) -> Stream {
    let mut stream = None;
    eventually("a stream after another one was closed", || {
        app.visit();
        stream = open(app, address).ok();
        stream.is_some()
    });
    stream.unwrap()
}

#[test]
fn a_client_has_a_bounded_number_of_streams() {
    let mut app = app("{streams_per_client=3}");
    let mut streams: Vec<_> = (0..3).map(|_| open(&app, "203.0.113.7").unwrap()).collect();
    // The same address, as IPv6 writes it.
    for address in ["203.0.113.7", "::ffff:203.0.113.7"] {
        let text = refusal(&app, address);
        assert!(text.contains("from your network"), "{text}");
        assert!(!text.contains(address), "{text}");
    }
    let mut other = open(&app, "203.0.113.8").unwrap();
    assert_eq!(other.next(), Some(0));
    streams.pop();
    streams.push(eventually_open(&app, "203.0.113.7"));
    refusal(&app, "203.0.113.7");

    let metrics = app.get("/metrics");
    assert!(!metrics.as_str().unwrap().contains("203.0.113"));
    let log = app.log().join("\n") + &app.stderr();
    assert!(!log.contains("203.0.113"), "{log}");
}

#[test]
fn the_addresses_of_an_ipv6_network_are_one_client() {
    let app = app("{streams_per_client=2}");
    let _streams =
        ["2001:db8:0:7::1", "2001:db8:0:7:ffff::2"].map(|address| open(&app, address).unwrap());
    refusal(&app, "2001:db8:0:7:1234:5678:9abc:def0");
    assert!(open(&app, "2001:db8:0:8::1").is_ok());
}

#[test]
fn a_replica_has_a_bounded_number_of_streams() {
    let app = app("{streams=3,streams_per_client=2}");
    let mut streams = Vec::from(
        ["203.0.113.7", "203.0.113.7", "203.0.113.8"].map(|address| open(&app, address).unwrap()),
    );
    let text = refusal(&app, "203.0.113.9");
    assert!(text.contains("Too many people follow this"), "{text}");
    streams.pop();
    eventually_open(&app, "203.0.113.9");
}

#[test]
fn a_stream_of_several_pages_is_one_stream() {
    let app = app("{streams_per_client=2}");
    let two = || Stream::open_from("203.0.113.7", &app.url("/live?page=/&page=readme"));
    let _streams = [two().unwrap(), two().unwrap()];
    assert_eq!(two().err().map(|(status, _)| status), Some(429));
    let metrics = app.get("/metrics");
    let metrics: Vec<_> = metrics.as_str().unwrap().lines().collect();
    assert!(metrics.contains(&"pageviews_live_streams 2"));
}
