//! One line on the pages of another site, in a real browser: each page that a person sees counts
//! once, and shows its numbers.

use crate::chromium::{Chromium, Undriven};
use crate::common::{eventually, or_skip};
use crate::compose::Cluster;
use crate::site::{Site, counts, line};

/// Reports what the element `id` shows when it is no longer empty.
const SHOWS: &str = r#"<script>
  const shows = async id => {
    const element = document.getElementById(id);
    while (!element.textContent) await new Promise(next => setTimeout(next, 20));
    return element.textContent;
  };
</script>"#;

#[test]
#[ignore = "needs Docker"]
fn each_page_that_a_person_sees_counts_once_and_shows_its_numbers() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["blog/*", "about"]"#)]);
    let counter = cluster.url("");
    cluster.pageviews(&["set", "blog/old", "1234567"]);
    let script = line(&counter, "");
    let start = "<script>location.href = '/blog/start/?a=b#c';</script>";
    let site = Site::serve(vec![
        ("/", start.into()),
        // The script comes first, so the page is not there yet when it runs.
        (
            "/blog/start/?a=b",
            format!(
                r#"{script}{script}{SHOWS}
                <p><i id="self" data-views></i> <i id="today" data-views-today></i>
                <i id="old" data-views="blog/old"></i> <i id="new" data-views="/blog/caf%C3%A9"></i>
                <i id="section" data-views-total="blog/*"></i> <i id="all" data-views-total></i>
                <i data-views="secret">kept</i>
                <script>
                  const clear = () => document.getElementById('self').textContent = "";
                  (async () => {{
                    const seen = [];
                    for (const id of ["self", "today", "old", "new", "section", "all"]) {{
                      seen.push(await shows(id));
                    }}
                    seen.push(document.querySelector("[data-views=secret]").textContent);
                    await say("start: " + seen.join(" "));
                    // The page again is no other page, and neither is a place in it.
                    history.pushState(null, "", "?page=2");
                    location.hash = '#comments';
                    clear();
                    history.pushState(null, "", "/blog/single/");
                    await say("single: " + await shows("self"));
                    clear();
                    history.back();
                    await say("back: " + await shows("self"));
                    location.href = "/canonical.html?utm=x";
                  }})();
                  addEventListener("pageshow", async ({{persisted}}) => {{
                    if (!persisted) return;
                    clear();
                    await say("restored: " + await shows("self"));
                    location.href = "/end";
                  }});
                </script>"#
            ),
        ),
        (
            "/canonical.html?utm=x",
            format!(
                r#"<link rel="canonical" href="https://example.com/about/">
                {script}{SHOWS}<i id="self" data-views></i>
                <script>shows("self").then(async views => {{
                  await say("about: " + views);
                  history.back();
                }});</script>"#
            ),
        ),
        ("/end", "<script>say('done');</script>".into()),
    ]);
    let browser = Undriven::start(&site.url("/"), [site.port, cluster.http_port]);
    let Some(_browser) = or_skip("the script for other sites", browser) else {
        return;
    };
    site.wait_for("done");
    // The sums are those of the section, and of that and the counter's own page.
    assert_eq!(
        site.wait_for("start: "),
        "1 1 1,234,567 0 1,234,568 1,234,568 kept"
    );
    assert_eq!(site.wait_for("single: "), "1");
    assert_eq!(site.wait_for("back: "), "2");
    assert_eq!(site.wait_for("about: "), "1");
    assert_eq!(site.wait_for("restored: "), "3");
    assert_eq!(
        cluster.counts(),
        counts(&[
            ("about", 1),
            ("blog/old", 1_234_567),
            ("blog/single", 1),
            ("blog/start", 3),
        ])
    );
}

#[test]
#[ignore = "needs Docker"]
fn attributes_and_the_visitor_decide_what_counts() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["*"]"#)]);
    let counter = cluster.url("");
    let page = |attributes: &str, next: &str| {
        let script = line(&counter, attributes);
        format!(
            r#"{SHOWS}<i id="all" data-views-total></i>{script}
            <script>shows("all").then(() => {{ {next} }});</script>"#
        )
    };
    let site = Site::serve(vec![
        (
            "/",
            page(r#"data-page="named""#, "location.href = '/prefix'"),
        ),
        (
            "/prefix",
            page(
                r#"data-prefix="blog.example.com""#,
                "location.href = '/shows'",
            ),
        ),
        (
            "/shows",
            page(r#"data-count="no""#, "location.href = '/once'"),
        ),
        (
            "/once",
            page(
                r#"data-once="30m""#,
                "if (sessionStorage.again) location.href = '/expired'; \
                 else { sessionStorage.again = 1; location.reload(); }",
            ),
        ),
        (
            "/expired",
            page(
                r#"data-once="1h""#,
                "const key = 'pageviews /expired'; \
                 if (sessionStorage.expired) location.href = '/out'; \
                 else { sessionStorage.expired = 1; \
                        localStorage[key] = localStorage[key] - 3600001; location.reload(); }",
            ),
        ),
        (
            "/out",
            format!(
                "<script>localStorage.setItem('pageviews', 'off');</script>{}",
                page(
                    "",
                    "localStorage.removeItem('pageviews'); location.href = '/live'"
                )
            ),
        ),
        (
            "/live",
            format!(
                r#"{}<html lang="de"><i id="own" data-views></i><script>
                  (async () => {{
                    while (own.textContent !== "1") await new Promise(next => setTimeout(next, 20));
                    await say("live");
                    while (own.textContent !== "5.001") {{
                      await new Promise(next => setTimeout(next, 20));
                    }}
                    say("done");
                  }})();
                </script>"#,
                line(&counter, r#"data-live="yes""#)
            ),
        ),
    ]);
    let browser = Undriven::start(&site.url("/"), [site.port, cluster.http_port]);
    let Some(_browser) = or_skip("the attributes of the script for other sites", browser) else {
        return;
    };
    site.wait_for("live");
    cluster.pageviews(&["set", "live", "5001"]);
    site.wait_for("done");
    assert_eq!(
        cluster.counts(),
        counts(&[
            ("blog.example.com/prefix", 1),
            ("expired", 2),
            ("live", 5_001),
            ("named", 1),
            ("once", 1),
        ])
    );
}

#[test]
#[ignore = "needs Docker"]
fn a_strict_policy_is_enough_and_a_page_without_the_counter_stays_as_it_is() {
    let what = "the script for other sites under a content policy";
    let Some(browser) = or_skip(what, Chromium::start()) else {
        return;
    };
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["*"]"#)]);
    let counter = cluster.url("");
    let site = Site::serve(vec![(
        "/page",
        format!(
            r#"<!doctype html><html lang="no_such language"><meta charset="utf-8"><title>a</title>
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
              script-src {counter}; connect-src {counter}">
            <link rel="icon" href="data:,">
            {}<i data-views>some</i>"#,
            line(&counter, r#"data-live="yes""#)
        ),
    )]);
    let shown = || -> String { browser.run("return document.querySelector('i').textContent") };
    browser.go(&site.url("/page"));
    eventually("the number", || shown() == "1");
    assert_eq!(browser.run::<String>("return document.cookie"), "");
    assert_eq!(browser.run::<usize>("return localStorage.length"), 0);
    assert_eq!(browser.console(), [""; 0]);
    assert_eq!(cluster.counts(), counts(&[("page", 1)]));

    cluster.compose(&["stop", "web"]);
    browser.go(&site.url("/page"));
    // The browser itself reports requests that fail, and the script reports nothing.
    eventually("the script gives up", || {
        let tried = browser.console();
        tried.iter().any(|line| line.contains("/api/pages?page="))
    });
    assert_eq!(shown(), "some");
}
