//! Automatic HTTPS, with the domain `localhost` and Caddy's own certificate authority.

use std::process::Command;

use crate::common::eventually;
use crate::compose::Cluster;

/// Runs curl and returns its output.
fn curl(arguments: &[&str]) -> String {
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
    let cluster = Cluster::up(&[("SITE_ADDRESS", "localhost")]);
    let url = format!("https://localhost:{}/", cluster.https_port);
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

    let plain = format!("http://localhost:{}/", cluster.http_port);
    let redirect = curl(&[
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{redirect_url}",
        &plain,
    ]);
    assert_eq!(redirect, "308 https://localhost/");
    // Caddy passes the stream on as it comes. curl breaks it off after two seconds.
    for version in ["--http2", "--http1.1"] {
        let live = curl(&[version, "-N", "--max-time", "2", &format!("{url}live")]);
        assert!(live.contains("data:"), "{version}: {live}");
    }
    let (passed, said) = cluster.check();
    assert!(passed, "{said}");
}
