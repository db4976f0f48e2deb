//! First lines and headers.

use super::{POST, Row, WAITS, ask, bytes, get, home, host};

pub fn targets() -> Vec<Row> {
    vec![
        (400, 400, get("/?a=\"")),
        (400, 400, get("/badge/readme.svg?label=\"<>")),
        (400, 400, get("/live/readme?\"<")),
        (400, 400, ask("HEAD /?\"", "", "")),
        (400, 400, ask("OPTIONS /?\"", "", "")),
        (200, 200, get("/?a^b`c{d}|\\")),
        (200, 200, get("/?%")),
        (404, 404, get("/badge/a[b]|.svg")),
        (404, 404, get("/%00")),
        (404, 404, get("/../../etc/passwd")),
        (404, 404, get("/%2e%2e/%2e%2e/etc/passwd")),
        (404, 404, get("/%ff%fe")),
        (404, 400, get("/\u{ff}\u{fe}")),
        (400, 400, get("/?\u{ff}\u{fe}")),
        (400, 404, get("/%")),
        (400, 400, get("/?a b")),
        (400, 400, get("/?a\tb")),
        (400, 400, get("nowhere")),
        (400, 400, get("http://a%zz/")),
        (400, 400, get("http://[::1/")),
        (200, 200, get("http://x/")),
        (200, 200, get("//")),
        (200, 200, get("/badge//readme.svg")),
        (404, 404, get("*")),
        (200, 404, ask("OPTIONS *", "", "")),
        (404, 404, get(&format!("/{}", "a".repeat(8192)))),
        (200, 200, get(&format!("/?{}", "a".repeat(8192)))),
        // The longest address that the app reads has 65,534 bytes.
        (431, 200, get(&format!("/?{}", "a".repeat(65_532)))),
        (431, 414, get(&format!("/?{}", "a".repeat(65_533)))),
        (
            422,
            422,
            get(&format!("/badge/readme.svg?label={:a<8192}", "")),
        ),
    ]
}

/// First lines that are no good, and methods.
pub fn lines() -> Vec<Row> {
    vec![
        // Shorter than the shortest good one, which has 14 bytes.
        (400, 400, bytes("GET /\r\n\r\n")),
        (400, 400, bytes("no\r\n\r\n")),
        (400, WAITS, bytes("\r\n\r\n")),
        (400, 400, bytes("\u{16}\u{3}\u{1} hello\r\n\r\n")),
        (400, 400, bytes("get / http/1.1\r\nhost: x\r\n\r\n")),
        (
            200,
            200,
            bytes("GET / HTTP/1.1\nHost: x\nConnection: close\n\n"),
        ),
        // An old client need not name the host.
        (200, 200, bytes("GET / HTTP/1.0\r\n\r\n")),
        (201, 201, bytes(&format!("{POST} HTTP/1.0\r\n\r\n"))),
        // The status that HTTP has for this.
        (505, 400, bytes("GET / HTTP/9.9\r\nHost: x\r\n\r\n")),
        (400, 400, ask("BREW /", "", "")),
        (400, 400, ask("G\"T /", "", "")),
        (405, 400, ask(&format!("{:A<40} /", ""), "", "")),
        (400, 400, ask("CONNECT x:80", "", "")),
        (405, 405, ask("CONNECT /", "", "")),
        (405, 405, ask("TRACE /", "", "")),
        (405, 405, ask("PUT /", "", "")),
    ]
}

pub fn hosts() -> Vec<Row> {
    vec![
        (200, 200, host("a%zz")),
        (200, 200, host("[::1")),
        (200, 200, host("x:99999")),
        (400, 200, host("u:p@x")),
        (400, 200, host("x/y")),
        (400, 200, host("a b")),
        (400, 400, host("a\0b")),
        (400, 200, host("\u{ff}")),
        (400, 200, host("")),
        (400, 200, home("Host: y\r\n")),
        (200, 200, host(&"a".repeat(5000))),
        (
            400,
            200,
            bytes("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
        ),
    ]
}

pub fn headers() -> Vec<Row> {
    let numbered: String = (0..150)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    vec![
        (400, 400, home("no colon\r\n")),
        (400, 400, home("X : a\r\n")),
        (400, 400, home("X\u{1}Y: a\r\n")),
        (400, 400, home("X: a\u{1}b\r\n")),
        (200, 400, home("X: a\r\n b\r\n")),
        (200, 200, home("X: \u{ff}\u{fe}\r\n")),
        (
            404,
            404,
            ask("GET /nowhere", "Accept: \u{ff}\u{fe}\r\n", ""),
        ),
        (404, 404, ask("GET /nowhere", "Accept: q/w;\"e\r\n", "")),
        (200, 200, home("Content-Type: \"<\r\n")),
        (200, 200, home("Cookie: a=\"b; c\r\n")),
        (200, 200, home("X-Forwarded-For: 1.2.3.4, \"'<script>\r\n")),
        (
            200,
            200,
            home("X-Real-IP: \"<\r\nForwarded: for=\"[::1\r\n"),
        ),
        (200, 200, home("Range: bytes=0-1\r\nIf-None-Match: *\r\n")),
        (
            200,
            200,
            home("Trailer: X-A\r\nTE: trailers, deflate, \"<>\r\n"),
        ),
        (417, 200, home("Expect: tea\r\n")),
        (200, 200, home("X-HTTP-Method-Override: DELETE\r\n")),
        // The header by which Caddy tells the app that a POST is a GET.
        (200, 200, home("X-Forwarded-Method: DELETE\r\n")),
        (200, 200, ask("POST /", "X-Forwarded-Method: GET\r\n", "")),
        (200, 200, ask(POST, "X-Forwarded-Method: GET\r\n", "")),
        // Caddy drops the headers that this one names, its own too. The POST then stays a POST.
        (405, 200, home("Connection: X-Forwarded-Method\r\n")),
        (
            200,
            200,
            home("Connection: Host, Content-Length, X-Real-IP\r\n"),
        ),
        (200, 200, home(&format!("X: {:a<10000}\r\n", ""))),
        (431, 431, home(&format!("X: {}\r\n", "a".repeat(1 << 20)))),
        (431, 431, home(&numbered)),
        (431, 431, home(&"X: y\r\n".repeat(2000))),
    ]
}
