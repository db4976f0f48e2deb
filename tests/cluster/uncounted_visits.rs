//! Through Caddy: a limit on views, crawlers, and a check that both leave alone.

use crate::chromium::Undriven;
use crate::common::or_skip;
use crate::compose::{Cluster, number};
use crate::site::{Site, counts, line};

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

#[test]
#[ignore = "needs Docker"]
fn a_browser_remembers_only_views_that_counted() {
    let pages = [("ROCKET_PAGES", r#"["*"]"#), ("ROCKET_LIMIT", "1")];
    let cluster = Cluster::up(&pages);
    let script = line(&cluster.url(""), r#"data-once="1d""#);
    let page = |then: &str| {
        format!(
            r#"<script>
              // Ends with the first request to the counter that fails.
              const failure = new Promise(failed => {{
                const real = fetch;
                fetch = (...request) => {{
                  const answer = real(...request);
                  answer.catch(failed);
                  return answer;
                }};
              }});
            </script>
            {script}<i data-views></i><script>
              const element = document.querySelector("i");
              const filled = async () => {{
                while (!element.textContent) await new Promise(next => setTimeout(next, 20));
              }};
              (async () => {{
                await Promise.race([filled(), failure]);
                // What follows the failure in the script.
                await new Promise(next => setTimeout(next));
                await say(location.pathname + Object.keys(localStorage).sort());
                {then}
              }})();
            </script>"#
        )
    };
    let site = Site::serve(vec![
        ("/first", page("location.href = '/second';")),
        (
            "/second",
            page("await say('ready'); await heard('away'); location.href = '/third';"),
        ),
        ("/third", page("say('done');")),
    ]);
    let browser = Undriven::start(&site.url("/first"), [site.port, cluster.http_port]);
    let Some(_browser) = or_skip("what a browser remembers", browser) else {
        return;
    };
    site.wait_for("ready");
    cluster.compose(&["stop", "web"]);
    site.say("away");
    site.wait_for("done");
    assert_eq!(site.wait_for("/first"), "pageviews /first");
    // The second page was above the limit, the third found no counter. They may count later.
    assert_eq!(site.wait_for("/second"), "pageviews /first");
    assert_eq!(site.wait_for("/third"), "pageviews /first");
    assert_eq!(cluster.counts(), counts(&[("first", 1)]));
}
