//! A single-page site with the script for other sites, in a real browser.

use crate::chromium::Undriven;
use crate::common::or_skip;
use crate::compose::Cluster;
use crate::site::{Site, counts, line};

#[test]
#[ignore = "needs Docker"]
fn a_single_page_site_counts_what_a_person_sees() {
    let pages = r#"["login", "app", "constructor", "broken"]"#;
    let cluster = Cluster::up(&[("ROCKET_PAGES", pages)]);
    let counter = cluster.url("");
    let script = line(&counter, r#"data-live="yes""#).replace("async ", "");
    let router = format!(
        r#"{script}<i id="own" data-views>none</i> <i id="other" data-views="constructor"></i>
        <script>
          const go = path => history.pushState(null, "", path);
          const shows = async text => {{
            while (own.textContent !== text) await new Promise(next => setTimeout(next, 20));
          }};
          // Nobody sees the page before.
          go("/login");
          (async () => {{
            await shows("1");
            go("/private");
            // This page is not counted, so the number of the last one must not stay.
            await shows("none");
            // A guard sends the visitor on at once.
            go("/private");
            go("/app");
            await shows("1");
            history.replaceState(null, "", "/app/renamed");
            go("?query");
            location.hash = "place";
            // What the script might do now, it has done before this page asks twice.
            for (const _ of [1, 2]) await fetch("{counter}/api/pages?page=app");
            go("/constructor");
            while (other.textContent !== "1") await new Promise(next => setTimeout(next, 20));
            await shows("1");
            location.href = "/broken";
          }})();
        </script>"#
    );
    let site = Site::serve(vec![
        ("/", router),
        (
            "/broken",
            format!(
                r#"<link rel="canonical" href="https://">{script}<i id="own" data-views></i>
                <script>(async () => {{
                  while (own.textContent !== "1") await new Promise(next => setTimeout(next, 20));
                  say("done");
                }})();</script>"#
            ),
        ),
    ]);
    let browser = Undriven::start(&site.url("/"), [site.port, cluster.http_port]);
    let Some(_browser) = or_skip("single-page sites", browser) else {
        return;
    };
    site.wait_for("done");
    let seen = ["app", "broken", "constructor", "login"];
    assert_eq!(cluster.counts(), counts(&seen.map(|page| (page, 1))));
}
