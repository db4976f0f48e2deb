//! Nothing of a visitor is in the log of any container, whatever goes wrong: neither what the
//! visitor sent nor the address that it came from.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::SOON;
use crate::client::{reset, status};
use crate::common::eventually;
use crate::compose::{Cluster, inspect, kill, metric};
use crate::https::curl;

/// What the logs must not hold. The first is part of everything that the visitor makes up, but for
/// the addresses that it claims.
const MADE_UP: [&str; 2] = ["canary", "203.0.113."];

/// What every request says of its visitor.
const HEADERS: &str = "User-Agent: canary-agent\r\nReferer: http://canary-referer/\r\n\
    Cookie: id=canary-cookie\r\nX-Forwarded-For: 203.0.113.7\r\nX-Real-IP: 203.0.113.8\r\n\
    Forwarded: for=203.0.113.9\r\nX-Request-Id: canary-id\r\nCanary: canary-header\r\n";

const VISIT: &str = "GET /?canary-query";
const BADGE: &str = "GET /badge/blog/canary-page.svg?label=canary-label";
const POST: &str = "POST /api/pages/blog/canary-page";
const STREAM: &str = "GET /live?canary-query";

/// How many streams the visitor may have.
const STREAMS: usize = 20;

/// What Caddy logs when a stream breaks.
const BROKEN: &str = "aborting with incomplete response";

fn request(line: &str, rest: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: canary-host\r\n{HEADERS}{rest}").into_bytes()
}

/// A request without a body.
fn plain(line: &str) -> Vec<u8> {
    request(line, "\r\n")
}

struct Visitor {
    caddy: SocketAddr,
    /// Its end of each connection.
    ports: RefCell<Vec<u16>>,
}

impl Visitor {
    fn of(cluster: &Cluster) -> Self {
        Self {
            caddy: cluster.caddy(),
            ports: RefCell::default(),
        }
    }

    fn send(&self, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.caddy).unwrap();
        let port = stream.local_addr().unwrap().port();
        self.ports.borrow_mut().push(port);
        stream.set_read_timeout(Some(SOON)).unwrap();
        // Caddy may answer and close the connection before it has read everything.
        let _ = stream.write_all(request);
        stream
    }

    fn ask(&self, request: &[u8]) -> u16 {
        let status = status(&self.send(request));
        status.unwrap_or_else(|error| panic!("{}: {error}", request.escape_ascii()))
    }
}

/// Errors of each kind, and requests that no browser sends.
fn errors(visitor: &Visitor) {
    let many = "X: canary\r\n".repeat(2000) + "\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\ncanary\r\n";
    let json = "Accept: application/json\r\n\r\n";
    let long = format!("GET /badge/readme.svg?label={}", "canary".repeat(10));
    let host = |name: &str| format!("GET / HTTP/1.1\r\nHost: {name}\r\n{HEADERS}\r\n").into_bytes();
    for (expected, request) in [
        (400, b"\x16\x03\x01 canary\r\n\r\n".to_vec()),
        (400, b"canary\r\n\r\n".to_vec()),
        (400, plain("CANARY /")),
        (400, plain("GET /?\"canary")),
        (400, plain("GET /canary%zz")),
        (400, request(VISIT, chunked)),
        (400, request(POST, chunked)),
        (400, host("canary host")),
        (400, host("canary@x")),
        (200, host("[canary")),
        (200, host("canary%zz")),
        (403, request(VISIT, "Sec-Purpose: prefetch\r\n\r\n")),
        (404, plain("GET /canary-path?canary-query")),
        (404, request("GET /canary", json)),
        (404, plain("GET /metrics/canary-path")),
        (404, plain("GET /badge/canary-page.svg")),
        (405, plain("PUT /?canary-query")),
        (417, request(VISIT, "Expect: canary\r\n\r\n")),
        (422, plain(&long)),
        (431, request(VISIT, &many)),
        (501, request(VISIT, "Transfer-Encoding: canary\r\n\r\n")),
    ] {
        let start = request[..80.min(request.len())].escape_ascii();
        assert_eq!(visitor.ask(&request), expected, "{start}");
    }
}

/// Requests that stop half-way, and visitors that leave in the middle.
fn unfinished(visitor: &Visitor) {
    let half = request(VISIT, "Canary: can");
    let mut waiting = Vec::new();
    for line in [VISIT, POST] {
        for body in [
            "Content-Length: 50\r\n\r\ncanary",
            "Transfer-Encoding: chunked\r\n\r\n6\r\ncanary",
        ] {
            let request = request(line, body);
            reset(visitor.send(&request));
            drop(visitor.send(&request));
            waiting.push(visitor.send(&request));
        }
    }
    reset(visitor.send(&plain(VISIT)));
    reset(visitor.send(&half));
    let mut silent = visitor.send(&half);
    // Caddy waits 5 s for the rest.
    for stream in waiting {
        assert_eq!(status(&stream).unwrap(), 400);
    }
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0, "the end");
}

/// Waits until the app counts.
fn wait_ready(cluster: &Cluster) {
    eventually("views are counted", || cluster.get("/").status_code == 200);
}

/// Opens as many streams as there may be, and breaks them before they get a message.
fn break_streams(cluster: &Cluster, visitor: &Visitor) {
    cluster.compose(&["pause", "db"]);
    // So many messages at a time that Caddy writes again after the first write has failed.
    let pages: String = (0..32)
        .map(|n| format!("&page=blog/canary-{n}{:a<150}", ""))
        .collect();
    let open = plain(&format!("{STREAM}{pages}"));
    let streams: Vec<_> = (0..STREAMS).map(|_| visitor.send(&open)).collect();
    for mut stream in streams {
        if status(&stream).unwrap() == 200 {
            // Caddy reads no further than the start of the next request. So it does not notice the
            // end of the connection before it writes to it.
            stream.write_all(b"G").unwrap();
        }
        reset(stream);
    }
    cluster.compose(&["unpause", "db"]);
    wait_ready(cluster);
}

#[test]
#[ignore = "needs Docker"]
fn no_log_holds_anything_of_a_visitor() {
    let limit = format!("{{streams_per_client={STREAMS}}}");
    let pages = r#"["readme", "blog/*"]"#;
    let cluster = Cluster::up(&[
        ("ROCKET_PAGES", pages),
        ("ROCKET_LIVE", &limit),
        ("ROCKET_LIMIT", "1000000"),
    ]);
    let visitor = Visitor::of(&cluster);
    errors(&visitor);
    unfinished(&visitor);

    let log = |service| cluster.compose(&["logs", "--no-color", service]);
    eventually("Caddy writes to a broken connection", || {
        break_streams(&cluster, &visitor);
        log("web").contains("writing: write tcp")
    });

    // Visitors that leave before the answer, and a replica that dies before it.
    cluster.compose(&["pause", "db"]);
    let app = &cluster.containers("app")[0];
    let [first, second, third] = [BADGE, POST, BADGE].map(|line| visitor.send(&plain(line)));
    // The first one leaves the queue at once.
    eventually("waiting views", || {
        metric(app, "pageviews_queue_views") == 2.
    });
    reset(first);
    drop(second);
    kill(app);
    assert_eq!(status(&third).unwrap(), 502);
    cluster.compose(&["unpause", "db"]);
    wait_ready(&cluster);

    // One stream too many.
    let streams: Vec<_> = (0..STREAMS).map(|_| visitor.send(&plain(STREAM))).collect();
    for stream in &streams {
        assert_eq!(status(stream).unwrap(), 200);
    }
    assert_eq!(visitor.ask(&plain(STREAM)), 429);
    drop(streams);

    // The database is lost, and then the app.
    cluster.compose(&["pause", "db"]);
    assert_eq!(visitor.ask(&plain(BADGE)), 504);
    cluster.compose(&["unpause", "db"]);
    cluster.compose(&["stop", "db"]);
    eventually("refusals", || visitor.ask(&plain(VISIT)) == 503);
    for line in [BADGE, POST, "GET /api/pages/blog/canary-page"] {
        assert_eq!(visitor.ask(&plain(line)), 503);
    }
    cluster.compose(&["stop", "app"]);
    reset(visitor.send(&plain(VISIT)));
    let waiting = [VISIT, BADGE, POST, STREAM].map(|line| visitor.send(&plain(line)));
    for stream in waiting {
        let status = status(&stream).unwrap();
        assert!((502..=503).contains(&status), "{status}");
    }

    assert!(log("app").contains("database unreachable"));
    assert!(log("db").contains("fast shutdown"));
    let log = ended(&cluster);
    for port in visitor.ports.into_inner() {
        let port = format!("\"{port}\"");
        assert!(!log.contains(&port), "{port} is in {log}");
    }
}

/// Over HTTPS.
#[test]
#[ignore = "needs Docker"]
fn a_stream_that_breaks_leaves_no_address_in_the_log() {
    let cluster = Cluster::up(&[("SITE_ADDRESS", "localhost")]);
    let url = |path: &str| format!("https://localhost:{}{path}", cluster.https_port);
    eventually("TLS", || curl(&[&url("/?")]).contains("</html>"));
    let log = || cluster.compose(&["logs", "--no-color", "web"]);
    for (version, broken) in [("--http2", 1), ("--http1.1", 2)] {
        // curl leaves in the middle.
        let visitor = "-A canary -e canary -H X-Forwarded-For:203.0.113.7 -N --max-time 2";
        let stream = [version, &url("/live?canary")];
        let messages = curl(&visitor.split(' ').chain(stream).collect::<Vec<_>>());
        assert!(messages.contains("data:"), "{version}: {messages}");
        eventually("Caddy notices the end of the stream", || {
            curl(&[&url("/")]);
            log().matches(BROKEN).count() >= broken
        });
    }
    ended(&cluster);
}

/// Stops the cluster, so that all logs are complete, and checks them. Returns them.
fn ended(cluster: &Cluster) -> String {
    // Caddy sees this machine at its own end of the network.
    let network = inspect(&cluster.full_name("outside"));
    let address = network["IPAM"]["Config"][0]["Gateway"].as_str().unwrap();
    cluster.compose(&["stop"]);
    let log = cluster.compose(&["logs", "--no-color"]);
    // A line of Caddy, of the app and of the database, each one of the last.
    for sign in ["shutdown complete", "SIGTERM", "system is shut down"] {
        assert!(log.contains(sign), "{sign} is not in {log}");
    }
    for line in log.lines() {
        let text = line.to_lowercase();
        for part in MADE_UP.into_iter().chain([address]) {
            assert!(!text.contains(part), "{part} is in {line}");
        }
        // The other end of a connection, in IPv4 or IPv6.
        let is_address = |end: &str| end.starts_with(|c: char| c.is_ascii_digit() || c == '[');
        assert!(!line.split("->").skip(1).any(is_address), "{line}");
    }
    log
}
