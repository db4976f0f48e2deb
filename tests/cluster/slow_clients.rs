//! A client that opens a connection and sends no whole request does not keep the connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::caddy::{Front, published};
use crate::client::{Authority, connect};
use crate::common::eventually;
use crate::compose::docker;
use crate::http2;
use crate::visitors::{Client, Http1};

/// The Caddyfile says 5 s, and Go gives a client of HTTP/2 10 s for its first bytes. The rest is
/// for a busy machine.
const LATEST: Duration = Duration::from_secs(15);

/// A connection of a client that has fallen silent.
struct Silent {
    what: String,
    connection: TcpStream,
}

impl Silent {
    fn new(what: impl Into<String>, connection: TcpStream) -> Self {
        let what = what.into();
        Self { what, connection }
    }

    /// A client that has sent `sent` to `port`, which leads to the port `inside` of the container.
    fn after(sent: &[u8], port: u16, inside: u16) -> Self {
        let mut connection = connect(port).unwrap();
        connection.write_all(sent).unwrap();
        let sent = sent.escape_ascii();
        Self::new(format!("\"{sent}\" to port {inside}"), connection)
    }

    /// Waits for the end of the connection. Returns how long that took.
    fn wait(mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let mut read = [0; 4096];
        while let Some(left) = LATEST
            .checked_sub(begun.elapsed())
            .filter(|left| !left.is_zero())
        {
            self.connection.set_read_timeout(Some(left)).unwrap();
            match self.connection.read(&mut read) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Ok(begun.elapsed()),
                Ok(_) => {}
            }
        }
        Err(format!("{} is still open after {LATEST:?}", self.what))
    }
}

/// Checks that Caddy closes all of these connections, and neither too late nor at once.
fn are_closed(clients: Vec<Silent>) {
    let mut open = Vec::new();
    thread::scope(|scope| {
        let waits: Vec<_> = clients
            .into_iter()
            .map(|client| (client.what.clone(), scope.spawn(|| client.wait())))
            .collect();
        for (what, wait) in waits {
            match wait.join().unwrap() {
                Ok(took) => {
                    println!("{what}: closed after {took:.1?}");
                    assert!(took > Duration::from_secs(1), "{what}: closed at once");
                }
                Err(what) => open.push(what),
            }
        }
    });
    assert_eq!(open, [""; 0]);
}

/// What clients have sent when they fall silent.
const BEGINNINGS: [&[u8]; 4] = [
    b"",
    b"GET",
    b"GET / HT",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n",
];

fn status(port: u16) -> Option<u16> {
    let answer = Http1::new(connect(port).ok()?).get("/healthz");
    Some(answer.ok()?.status)
}

#[test]
#[ignore = "needs Docker"]
fn a_client_without_a_whole_request_loses_its_connection() {
    let mut front = Front::new("slow");
    let port = published(&front.caddy(&[]), 80);
    eventually("Caddy", || status(port) == Some(404));
    are_closed(BEGINNINGS.map(|sent| Silent::after(sent, port, 80)).into());
    assert_eq!(status(port), Some(404), "a whole request is answered");
}

#[test]
#[ignore = "needs Docker"]
fn with_a_domain_a_client_without_a_whole_request_loses_its_connection() {
    let mut front = Front::new("slow-tls");
    let id = front.caddy(&["-e", "SITE_ADDRESS=localhost", "-p", "127.0.0.1::443"]);
    let (plain, tls) = (published(&id, 80), published(&id, 443));
    eventually("the redirect", || status(plain) == Some(308));
    let authority = Authority::new(&docker(&[&["exec", &id], &Authority::PRINT[..]].concat()));
    eventually("TLS", || authority.connect(tls, "h2").is_ok());

    let mut clients: Vec<_> = BEGINNINGS.map(|sent| Silent::after(sent, plain, 80)).into();
    // A handshake that has not begun, and one that announces 512 bytes and sends a few.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        clients.push(Silent::after(sent, tls, 443));
    }
    let beginnings = [
        ("http/1.1", &BEGINNINGS[..]),
        ("h2", &[b"", http2::PREFACE]),
    ];
    for (protocol, beginnings) in beginnings {
        for sent in beginnings {
            let mut stream = authority.connect(tls, protocol).unwrap();
            stream.write_all(sent).unwrap();
            stream.flush().unwrap();
            let what = format!("\"{}\" by {protocol} over TLS", sent.escape_ascii());
            clients.push(Silent::new(what, stream.sock));
        }
    }
    are_closed(clients);
    let answer = Http1::new(authority.connect(tls, "http/1.1").unwrap()).get("/healthz");
    assert_eq!(answer.unwrap().status, 404, "a whole request is answered");
}
