//! Bodies, and requests for another protocol.

use super::{BADGE, POST, Row, WAITS, ask, bytes, chunked, long, upgrade};

pub fn upgrades() -> Vec<Row> {
    let mut rows = Vec::new();
    for protocol in ["websocket", "h2c", "nonsense"] {
        for line in ["GET /", BADGE, "GET /api/pages/readme", "GET /live"] {
            rows.push((200, 200, upgrade(line, protocol)));
        }
        rows.push((201, 201, upgrade(POST, protocol)));
    }
    rows
}

pub fn bodies() -> Vec<Row> {
    let mut rows = vec![
        // A visit needs no body, so it need not be complete.
        (200, WAITS, ask("GET /", "Content-Length: 20\r\n", "a")),
        (201, WAITS, ask(POST, "Content-Length: 9999999999\r\n", "a")),
        // On a connection that stays open, the next request begins after the body. Caddy waits 5 s.
        (
            400,
            WAITS,
            bytes("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"),
        ),
        (400, 400, ask("GET /", "Content-Length: -1\r\n", "")),
        (400, 400, ask("GET /", "Content-Length: +1\r\n", "a")),
        (
            400,
            400,
            ask("GET /", "Content-Length: 1\r\nContent-Length: 2\r\n", "ab"),
        ),
        (
            400,
            400,
            ask("GET /", "Content-Length: 99999999999999999999\r\n", ""),
        ),
        // The status that HTTP has for this.
        (
            501,
            200,
            ask("GET /", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        ),
        (
            501,
            400,
            ask("GET /", "Transfer-Encoding: nonsense\r\n", ""),
        ),
    ];
    let trailer = "Trailer: X-A\r\nTransfer-Encoding: chunked\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n";
    for (line, status) in [("GET /", 200), (BADGE, 200), (POST, 201)] {
        rows.extend([
            (status, status, long(line, 20_000)),
            (status, status, long(line, 1_000_000)),
            (
                status,
                status,
                chunked(line, &format!("4e20\r\n{:a<20000}\r\n0\r\n\r\n", "")),
            ),
            (status, status, ask(line, trailer, "0\r\nX-A: b\r\n\r\n")),
            // The app answers before it has read any of these bodies.
            (400, status, chunked(line, "zz\r\n")),
            (400, status, chunked(line, "2\r\nabXX5\r\n")),
            (400, status, chunked(line, "-1\r\n")),
            (400, status, chunked(line, "fffffffffffffffff\r\n")),
            (
                status,
                status,
                ask(line, "Expect: 100-continue\r\nContent-Length: 3\r\n", "abc"),
            ),
            // Rocket takes a form with this field for a request with that method.
            (
                status,
                if status == 201 { 405 } else { 200 },
                ask(line, form, "_method=delete"),
            ),
        ]);
        // A request within the body of another one is not a request.
        let inner = format!("{BADGE} HTTP/1.1\r\nHost: x\r\n\r\n");
        for header in ["", "Transfer-Encoding: chunked\r\n"] {
            let length = format!("Content-Length: {}\r\n{header}", inner.len());
            let body = match header {
                "" => inner.clone(),
                _ => format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
            };
            rows.push((
                status,
                status,
                bytes(&format!("{line} HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}")),
            ));
        }
    }
    rows
}
