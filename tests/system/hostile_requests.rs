//! Requests that no browser sends are refused: they count nothing and cause no panic.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::SOON;
use crate::support::{self, App, wait};

/// Sends `request` as it is and returns the status of the answer; `None` when there is none.
fn status(app: &App, request: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(&app.address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // The application may answer and close the connection before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("panicked"));
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn each_hostile_request_is_refused_and_none_is_counted() {
    let url = wait(support::database());
    let app = App::on(&url);
    app.wait_ready();
    let get = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let with = |header: &str| {
        format!("GET /nowhere HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let mut bad_utf8 = b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec();
    let cases = [
        ("NUL", get("/%00")),
        ("dot segments", get("/../../etc/passwd")),
        ("encoded dot segments", get("/%2e%2e/%2e%2e/etc/passwd")),
        ("8 KiB path", get(&format!("/{}", "a".repeat(8192)))),
        ("encoded bad UTF-8", get("/%ff%fe")),
        ("bare bad UTF-8", std::mem::take(&mut bad_utf8)),
        ("half an escape", get("/%")),
        ("no path", get("nowhere")),
        (
            "huge header",
            with(&format!("Host: x\r\nX-Huge: {}", "a".repeat(1 << 20))),
        ),
        (
            "many headers",
            with(&format!("Host: x{}", "\r\nX: y".repeat(2000))),
        ),
        ("bad Host", with("Host: a b\0c")),
        ("bad header", with("Host: x\r\nno colon")),
        (
            "unknown method",
            b"BREW / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        ),
        ("no HTTP", b"\x16\x03\x01 hello\r\n\r\n".to_vec()),
    ];
    for (name, request) in cases {
        let status = status(&app, &request);
        assert!(
            status.is_some_and(|status| (400..500).contains(&status)),
            "{name}: {status:?}"
        );
    }
    assert_eq!(wait(support::counted(&url, "/")), 0);
    assert_eq!(app.visit(), 1);
}
