//! Automatic HTTPS, with domains for which Caddy is its own certificate authority.

use std::process::Command;

use crate::common::eventually;
use crate::compose::Cluster;

/// Runs curl and returns its output.
pub fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sk", "--max-time", "20"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs Docker"]
fn a_domain_brings_tls_http2_hsts_and_a_redirect() {
    let cluster = Cluster::up(&[("SITE_ADDRESS", "counter.internal, localhost")]);
    let (http, https) = (cluster.http_port, cluster.https_port);
    let found = |port| format!("counter.internal:{port}:127.0.0.1");
    let (plain_at, at) = (found(http), found(https));
    let curl = |arguments: &[&str]| {
        let resolve = ["--resolve", &plain_at, "--resolve", &at];
        curl(&[&resolve[..], arguments].concat())
    };
    let url = format!("https://counter.internal:{https}/");
    let written = ["-o", "/dev/null", "-w", "%{http_code} %{http_version}"];
    eventually("TLS", || {
        curl(&[&written[..], &["--http2", &url]].concat()) == "200 2"
    });
    assert_eq!(
        curl(&[&written[..], &["--http1.1", &url]].concat()),
        "200 1.1"
    );
    let headers = curl(&["-D", "-", "-o", "/dev/null", &url]).to_lowercase();
    assert!(
        headers.contains("strict-transport-security: max-age="),
        "{headers}"
    );
    assert!(
        headers.contains("alt-svc: h3="),
        "HTTP/3 is offered: {headers}"
    );
    assert!(!headers.contains("\nserver:"), "{headers}");

    // A browser would keep it for a year, for all that a developer runs at localhost.
    let local = format!("https://localhost:{https}/");
    let headers = curl(&["-D", "-", "-o", "/dev/null", &local]).to_lowercase();
    assert!(headers.starts_with("http/2 200"), "{headers}");
    assert!(!headers.contains("strict-transport-security"), "{headers}");

    let plain = format!("http://counter.internal:{http}/");
    let redirect = curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{redirect_url}",
        &plain,
    ]);
    assert_eq!(redirect, "308 https://counter.internal/");
    // Caddy passes the stream on as it comes. curl breaks it off after two seconds.
    for version in ["--http2", "--http1.1"] {
        let live = curl(&[version, "-N", "--max-time", "2", &format!("{url}live")]);
        assert!(live.contains("data:"), "{version}: {live}");
    }
    let (passed, said) = cluster.check();
    assert!(passed, "{said}");
}
