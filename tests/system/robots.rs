//! Crawlers are told to leave alone what counts.

use crate::support;

/// Whether a crawler that obeys `robots` (RFC 9309) asks for `path`.
fn may_crawl(robots: &str, path: &str) -> bool {
    let mut lines = robots.lines();
    assert_eq!(lines.next(), Some("User-agent: *"));
    let mut rules = lines.map(|line| line.strip_prefix("Disallow: ").unwrap());
    !rules.any(|rule| match rule.strip_suffix('$') {
        Some(whole) => path == whole,
        None => path.starts_with(rule),
    })
}

#[rocket::async_test]
async fn robots_leave_alone_what_counts() {
    let client = support::client(&support::database().await).await;
    let answer = client.get("/robots.txt").dispatch().await;
    assert_eq!(
        answer.headers().get_one("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    let robots = answer.into_string().await.unwrap();
    for path in [
        "/",
        "/?a=b",
        "/badge/readme.svg",
        "/api/pages/readme",
        "/live",
    ] {
        assert!(!may_crawl(&robots, path), "{path}");
    }
    for path in ["/style.css", "/icon.svg", "/robots.txt"] {
        assert!(may_crawl(&robots, path), "{path}");
    }
}
