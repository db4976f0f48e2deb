//! Pages that a real browser prefetches or prerenders: they count when somebody looks at them.

use crate::chromium::Undriven;
use crate::common::{eventually, or_skip};
use crate::compose::Cluster;
use crate::docker::try_metric;
use crate::site::{Site, counts};

/// Makes the browser prerender the next page of the site, and prefetch the counter's own page. Then
/// goes to the next page, which is there already.
fn first_page(counter: &str) -> String {
    format!(
        r#"<script type="speculationrules">{{
          "prerender": [{{"urls": ["/next"], "eagerness": "immediate"}}],
          "prefetch": [{{"urls": ["{counter}/"], "eagerness": "immediate"}}]
        }}</script>
        <script>
          heard("post while prerendering: 403").then(() => location.href = "/next");
        </script>"#
    )
}

/// Has a badge and the script for other sites, and posts a view while nobody looks and when it is
/// shown. Then goes to the counter.
fn next_page(counter: &str) -> String {
    format!(
        r#"<img id="badge" src="{counter}/badge/blog/badge.svg">
        <script async src="{counter}/count.js" data-page="blog/script"></script>
        <i id="views" data-views></i>
        <script>
          const post = async when => {{
            const view = await fetch("{counter}/api/pages/blog/post", {{method: "POST"}});
            await say(when + ": " + view.status);
          }};
          const shows = () => badge.complete && badge.naturalWidth > 0;
          addEventListener("load", () => {{
            say("prerendering: " + document.prerendering + ", badge: " + shows());
            post("post while prerendering");
          }});
          document.addEventListener("prerenderingchange", async () => {{
            await post("post when shown");
            await say("shown, badge: " + shows());
            while (!views.textContent) await new Promise(next => setTimeout(next, 20));
            await say("script: " + views.textContent);
            await heard("go on");
            location.href = "{counter}/";
          }});
        </script>"#
    )
}

#[test]
#[ignore = "needs Docker"]
fn a_page_counts_when_somebody_looks_at_it() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["blog/*"]"#)]);
    let counter = cluster.url("");
    let site = Site::serve(vec![
        ("/", first_page(&counter)),
        ("/next", next_page(&counter)),
    ]);
    let browser = Undriven::start(&site.url("/"), [site.port, cluster.http_port]);
    let Some(_browser) = or_skip("pages that a browser prerenders", browser) else {
        return;
    };
    assert_eq!(site.wait_for("prerendering: "), "true, badge: true");
    assert_eq!(site.wait_for("post while prerendering: "), "403");
    assert_eq!(site.wait_for("post when shown: "), "201");
    // The browser does not ask for the badge again, so the picture has to be there.
    assert_eq!(site.wait_for("shown, badge: "), "true");
    let app = &cluster.containers("app")[0];
    eventually("the browser prefetches the counter's page", || {
        let refused = r#"pageviews_http_request_duration_seconds_count{route="/",status="403"}"#;
        try_metric(app, refused).is_some()
    });
    assert_eq!(site.wait_for("script: "), "1");
    let seen = [("blog/post", 1), ("blog/script", 1)];
    assert_eq!(cluster.counts(), counts(&seen));
    // Who then goes to the counter's page is counted, although it was prefetched.
    site.say("go on");
    eventually("the visit", || cluster.counts().contains_key("/"));
    let seen = [("/", 1), ("blog/post", 1), ("blog/script", 1)];
    assert_eq!(cluster.counts(), counts(&seen));
}
