//! Requests that no browser sends, and what each must be answered.

mod account;
mod bodies;
mod heads;

pub use self::account::Account;
use self::bodies::{bodies, upgrades};
use self::heads::{headers, hosts, lines, targets};

/// A request and what it must be answered.
pub struct Case {
    pub request: Vec<u8>,
    pub status: u16,
}

impl Case {
    /// The start of the request, as text.
    pub fn name(&self) -> String {
        let start = &self.request[..self.request.len().min(160)];
        start.escape_ascii().to_string()
    }
}

/// Each character is one byte, so that texts can hold bytes that are not UTF-8.
fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).expect("a byte"))
        .collect()
}

/// A request that ends its connection, with these headers and this body.
fn ask(line: &str, headers: &str, body: &str) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}");
    bytes(&format!("{head}\r\n{body}"))
}

fn get(target: &str) -> Vec<u8> {
    ask(&format!("GET {target}"), "", "")
}

/// Asks for `/` with these headers.
fn home(headers: &str) -> Vec<u8> {
    ask("GET /", headers, "")
}

fn host(value: &str) -> Vec<u8> {
    bytes(&format!(
        "GET / HTTP/1.1\r\nHost: {value}\r\nConnection: close\r\n\r\n"
    ))
}

/// Asks for another protocol.
fn upgrade(line: &str, protocol: &str) -> Vec<u8> {
    let settings = match protocol {
        "h2c" => "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        _ => "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    };
    bytes(&format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: {protocol}\r\n{settings}\r\n"
    ))
}

/// A request with a body of this many bytes.
fn long(line: &str, length: usize) -> Vec<u8> {
    let header = format!("Content-Length: {length}\r\n");
    ask(line, &header, &"a".repeat(length))
}

/// A request with a body in chunks, written as it is.
fn chunked(line: &str, body: &str) -> Vec<u8> {
    ask(line, "Transfer-Encoding: chunked\r\n", body)
}

/// Stands for the status of an app that waits for the rest of the request: only Caddy has limits of
/// time.
const WAITS: u16 = 0;

const BADGE: &str = "GET /badge/readme.svg";
const POST: &str = "POST /api/pages/readme";

/// The status through Caddy, the status of the app alone, and the request.
type Row = (u16, u16, Vec<u8>);

/// All requests that are answered, by the app alone or through Caddy.
pub fn cases(through_caddy: bool) -> Vec<Case> {
    [targets(), lines(), hosts(), headers(), upgrades(), bodies()]
        .concat()
        .into_iter()
        .map(|(cluster, app, request)| Case {
            request,
            status: if through_caddy { cluster } else { app },
        })
        .filter(|case| case.status != WAITS)
        .collect()
}
