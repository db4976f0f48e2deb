//! A visitor who breaks off requests costs no other visitor anything.

use std::io::{self, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Authority, reset};
use crate::common::eventually;
use crate::compose::Cluster;
use crate::http2::{self, Http2};
use crate::visitors::{self, Http1, Visits};

/// How long an attack lasts.
const DURATION: Duration = Duration::from_secs(6);
/// How many streams an attacker opens and resets at a time.
const BURST: u32 = 60;
/// How many bursts an attacker sends on a connection of HTTP/2.
const BURSTS: u32 = 20;
/// How many connections an attacker resets at a time. One costs more than a stream.
const CONNECTIONS: usize = 20;
/// The time from the requests to their resets. Caddy needs it to pass the requests on: a request
/// that is reset earlier never reaches the app.
const PASSED_ON: Duration = Duration::from_millis(1);
/// The time from burst to burst. With less, the attackers take the processors from the visitors,
/// and a visit that does not come cannot be lost either.
const PAUSE: Duration = Duration::from_millis(25);

/// A method and a path.
type Request = (&'static str, &'static str);

/// What attackers ask for. The page `x` is counted, so each of these needs the engine or a stream.
const REQUESTS: [Request; 4] = [
    ("GET", "/badge/x.svg"),
    ("GET", "/live"),
    ("POST", "/api/pages/x"),
    ("GET", "/"),
];

/// An attack by clients that reset what they have begun.
struct Attack<'a> {
    authority: &'a Authority,
    port: u16,
    requests: &'a [Request],
    /// How many streams and connections the attackers have reset.
    streams: AtomicI64,
    connections: AtomicI64,
    /// How many of their requests may have been counted as a view of `/`.
    views: AtomicI64,
}

impl Attack<'_> {
    /// The requests of a burst.
    fn burst(&self) -> impl Iterator<Item = &Request> {
        let note = |(_, path): &&Request| {
            let view = i64::from(*path == "/");
            self.views.fetch_add(view, Ordering::Relaxed);
        };
        self.requests.iter().cycle().inspect(note)
    }

    /// Opens streams and resets them at once, in bursts, on one connection.
    fn reset_streams(&self) -> io::Result<()> {
        let mut connection = self.authority.connect(self.port, "h2")?;
        http2::begin(&mut connection)?;
        for burst in 0..BURSTS {
            let streams = (0..BURST).map(|n| 2 * (burst * BURST + n) + 1);
            let requests = streams.clone().zip(self.burst());
            let requests =
                requests.flat_map(|(id, (method, path))| http2::request(id, method, path));
            connection.write_all(&requests.collect::<Vec<_>>())?;
            connection.flush()?;
            thread::sleep(PASSED_ON);
            connection.write_all(&streams.flat_map(http2::reset).collect::<Vec<_>>())?;
            connection.flush()?;
            self.streams.fetch_add(BURST.into(), Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Sends a request on each of many connections, and then resets all of them.
    fn reset_connections(&self) -> io::Result<()> {
        let mut connections = Vec::new();
        for (_, path) in self.burst().take(CONNECTIONS) {
            let mut connection = self.authority.connect(self.port, "http/1.1")?;
            connection.write_all(&visitors::request(path))?;
            connection.flush()?;
            connections.push(connection.sock);
        }
        thread::sleep(PASSED_ON);
        for connection in connections {
            reset(connection);
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(PAUSE);
        Ok(())
    }

    /// Attacks with three clients of HTTP/2 and one of HTTP/1.1.
    fn run(&self) {
        let end = Instant::now() + DURATION;
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while Instant::now() < end {
                        // Caddy may close the connection of a client that resets much.
                        let _ = self.reset_streams();
                    }
                });
            }
            while Instant::now() < end {
                let _ = self.reset_connections();
            }
        });
    }
}

#[test]
#[ignore = "needs Docker"]
fn resets_by_attackers_cost_no_other_visitor_anything() {
    let cluster = Cluster::up(&[("SITE_ADDRESS", "localhost"), ("ROCKET_PAGES", r#"["x"]"#)]);
    let print = [&["exec", "-T", "web"], &Authority::PRINT[..]].concat();
    let authority = Authority::new(&cluster.compose(&print));
    let port = cluster.https_port;
    eventually("TLS", || authority.connect(port, "h2").is_ok());
    let open = |visitor: usize| {
        Ok(if visitor.is_multiple_of(2) {
            Box::new(Http2::new(authority.connect(port, "h2")?)?) as Box<_>
        } else {
            Box::new(Http1::new(authority.connect(port, "http/1.1")?)) as Box<_>
        })
    };
    // At first without /, so that each view of / is a visitor's: a visit that Caddy or its HTTP
    // client sent twice would be one too many.
    for requests in [&REQUESTS[..3], &REQUESTS] {
        let attack = Attack {
            authority: &authority,
            port,
            requests,
            streams: AtomicI64::new(0),
            connections: AtomicI64::new(0),
            views: AtomicI64::new(0),
        };
        let before = ["/", "x"].map(|page| cluster.total(page));
        let visits = Visits::over(8, open, |visits| {
            let come = || {
                let so_far = visits.acknowledged();
                eventually("visits", || visits.acknowledged() > so_far + 50);
            };
            come();
            attack.run();
            come();
        });
        let [counted, attacked] = ["/", "x"].map(|page| cluster.total(page));
        let [counted, attacked] = [counted - before[0], attacked - before[1]];
        let [streams, connections, views] = [attack.streams, attack.connections, attack.views]
            .map(|number| number.load(Ordering::Relaxed));
        println!(
            "{streams} streams and {connections} connections were reset, which counted {attacked} \
             views of x"
        );
        visits.add_up(counted, 0..=views);
        assert_eq!(visits.refused(), [""; 0]);
        // Otherwise this was no attack, or it did not reach the app.
        assert!(streams > 1_000 && connections > 20 && attacked > 50);
    }
    cluster.assert_unharmed();
}
