//! Through Caddy: a limit on views, crawlers, and a check that both leave alone.

use crate::compose::{Cluster, number};

/// Visits as the program `user_agent`, which claims to be at another address each time.
fn visit(cluster: &Cluster, user_agent: &str) -> (i64, bool) {
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    let claimed = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let answer = minreq::get(cluster.url("/"))
        .with_header("User-Agent", user_agent)
        .with_header("X-Real-IP", format!("203.0.113.{claimed}"))
        .with_header("X-Forwarded-For", format!("203.0.113.{claimed}"))
        .with_timeout(20)
        .send()
        .unwrap();
    let is_view = answer.as_str().unwrap().contains("You are view number");
    (number(&answer).unwrap(), is_view)
}

#[test]
#[ignore = "needs Docker"]
fn a_visitor_cannot_escape_the_limit_and_check_passes_with_every_rule_on() {
    let cluster = Cluster::up(&[
        ("ROCKET_LIMIT", "1"),
        ("ROCKET_BOTS", "ignore"),
        ("ROCKET_OVERVIEW", "true"),
    ]);
    let googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    assert_eq!(visit(&cluster, googlebot), (0, false));
    assert_eq!(visit(&cluster, "curl/8.14.1"), (1, true));
    // One view more counts after a minute.
    assert_eq!(visit(&cluster, "curl/8.14.1"), (1, false));
    let (passed, said) = cluster.check();
    assert!(passed && said.contains("exactly 60"), "{said}");
    let (number, is_view) = visit(&cluster, googlebot);
    assert!(number == 62 && !is_view, "{number}");
}
