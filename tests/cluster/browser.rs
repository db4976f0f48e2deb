//! The page of two replicas in a real browser: what people see, and what the page must not do.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rocket::serde::json::{Value, json};

use crate::appearance;
use crate::chromium::Chromium;
use crate::common::{Stream, eventually, or_skip};
use crate::compose::{Cluster, number, replica};

/// One check of the page. It may leave the browser in any state.
type Check = fn(&Window);

/// All checks share one cluster and one browser. They count visits, so they run one by one.
const CHECKS: [(&str, Check); 12] = [
    ("a reload counts one view", a_reload_counts_one_view),
    ("the icon is a picture", appearance::the_icon_is_a_picture),
    ("it weighs little", it_weighs_little),
    ("it keeps nothing about visitors", it_keeps_nothing),
    ("it ticks on views that any replica counted", it_ticks),
    (
        "the page of a page ticks and adds no view",
        the_page_of_a_page_ticks,
    ),
    ("it needs no script", it_needs_no_script),
    ("light and dark differ", appearance::light_and_dark_differ),
    ("it fits small and large windows", appearance::it_fits),
    (
        "errors are as calm as the page",
        appearance::errors_are_calm,
    ),
    ("axe finds nothing", appearance::axe_finds_nothing),
    ("it ticks again after an outage", it_ticks_again),
];

/// The cluster and the browser that shows its page.
pub struct Window {
    pub cluster: Cluster,
    pub browser: Chromium,
}

#[test]
#[ignore = "needs Docker"]
fn the_page_in_a_real_browser() {
    let Some(browser) = or_skip("the page in a real browser", Chromium::start()) else {
        return;
    };
    let cluster = Cluster::up(&[
        ("ROCKET_PAGES", r#"["blog/*"]"#),
        ("ROCKET_OVERVIEW", "true"),
    ]);
    cluster.compose(&["up", "-d", "--scale", "app=2"]);
    eventually("two replicas", || cluster.containers("app").len() == 2);
    cluster.wait_healthy();
    let window = Window { cluster, browser };
    window.a_violation_would_be_seen();

    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("{name}");
        // The other checks run even if this one fails.
        let kept = catch_unwind(AssertUnwindSafe(|| {
            window.prefers_nothing();
            check(&window);
            window.is_quiet(&[]);
        }));
        if kept.is_err() {
            window.browser.screenshot("failed");
            window.browser.console();
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

impl Window {
    /// Resets the browser to its defaults.
    fn prefers_nothing(&self) {
        for (command, parameters) in [
            ("setScriptExecutionDisabled", json!({ "value": false })),
            ("setEmulatedMedia", json!({ "features": [] })),
            ("clearDeviceMetricsOverride", json!({})),
        ] {
            let command = format!("Emulation.{command}");
            self.browser.devtools(&command, parameters);
        }
    }

    pub fn go(&self, path: &str) {
        self.browser.go(&self.cluster.url(path));
    }

    /// The number on the page, which is the same for people and for programs. `innerText` is what
    /// people see.
    pub fn shown(&self) -> i64 {
        let (value, text, grouped): (i64, String, String) = self.browser.run(
            "const views = document.getElementById('views');
             const value = Number(views.value);
             return [value, views.innerText.trim(), value.toLocaleString('en-US')];",
        );
        assert_eq!(text, grouped);
        value
    }

    /// Fails if the console holds anything but `allowed`, or if the page asked another site.
    pub fn is_quiet(&self, allowed: &[&str]) {
        let mut said = self.browser.console();
        said.retain(|line| !allowed.iter().any(|allowed| line.contains(allowed)));
        assert!(said.is_empty(), "on the console: {said:#?}");
        let ours = self.cluster.url("/");
        for event in self.browser.network() {
            if let Some(url) = event["params"]["request"]["url"].as_str() {
                assert!(url.starts_with(&ours) || url.starts_with("data:"), "{url}");
            }
        }
    }

    /// Caddy's content policy holds, and the console shows a violation of it.
    fn a_violation_would_be_seen(&self) {
        self.go("/");
        self.browser.run::<()>(
            "const inline = document.createElement('script');
             inline.textContent = 'document.title = 1';
             document.body.append(inline);",
        );
        let said = self.browser.console();
        assert!(
            said.iter()
                .any(|line| line.contains("Content Security Policy")),
            "{said:?}"
        );
        // Forgets what the browser asked for its first tab.
        self.browser.network();
    }
}

fn a_reload_counts_one_view(window: &Window) {
    window.go("/");
    let first = window.shown();
    for number in first + 1..first + 4 {
        window.browser.reload();
        assert_eq!(window.shown(), number);
        let today: i64 = window
            .browser
            .run("return Number(document.getElementById('today').value)");
        assert!((1..=number).contains(&today), "{today} of {number} today");
    }
}

fn it_weighs_little(window: &Window) {
    window.go("/");
    // The browser does not count icons as resources.
    let (loaded, icon): (usize, String) = window.browser.run(
        "const types = ['navigation', 'resource'];
         const entries = types.flatMap(type => performance.getEntriesByType(type));
         return [entries.reduce((sum, entry) => sum + entry.decodedBodySize, 0),
             new URL(document.querySelector('link[rel=icon]').href).pathname];",
    );
    let bytes = loaded + window.cluster.get(&icon).as_bytes().len();
    println!("{bytes} bytes");
    assert!(loaded > 0 && bytes < 12_000, "{bytes} bytes");
}

fn it_keeps_nothing(window: &Window) {
    window.go("/");
    let cookies = window.browser.devtools("Storage.getCookies", json!({}));
    assert_eq!(cookies["cookies"], json!([]));
    let kept: Value = window.browser.run(
        "return Promise.all([localStorage.length, sessionStorage.length, indexedDB.databases(),
             caches.keys(), navigator.serviceWorker.getRegistrations()]);",
    );
    assert_eq!(kept, json!([0, 0, [], [], []]));
}

/// Visits as somebody else. Returns the replica that counted, and the number.
fn somebody_visits(window: &Window) -> (String, i64) {
    let answer = window.cluster.get("/");
    (replica(&answer), number(&answer).unwrap())
}

/// The limit for the notification of another replica. Without one, a replica reads the totals
/// itself, but less often than this.
const NOTIFIED: Duration = Duration::from_secs(10);

fn it_ticks(window: &Window) {
    window.go("/");
    let loaded: f64 = window.browser.run("return performance.timeOrigin");
    // The browser's stream is open at one replica. A second stream makes both replicas equally
    // busy, so Caddy sends visits to both. Some are counted by the replica without the browser.
    let mut listener = Stream::open(&window.cluster.url("/live"));
    assert!(listener.next().is_some(), "/live says the total at once");

    let mut replicas = HashMap::new();
    eventually("three visits to each of both replicas", || {
        let (replica, number) = somebody_visits(window);
        let visited = Instant::now();
        eventually("the tick", || window.shown() >= number);
        let took = visited.elapsed();
        assert!(
            took < NOTIFIED,
            "read, not notified: {took:?} after the visit"
        );
        assert_eq!(window.shown(), number, "nobody else visits");
        *replicas.entry(replica).or_insert(0) += 1;
        replicas.len() == 2 && replicas.values().all(|visits| *visits >= 3)
    });
    let now: f64 = window.browser.run("return performance.timeOrigin");
    assert_eq!(now, loaded, "without a reload");
}

fn the_page_of_a_page_ticks(window: &Window) {
    let badge = |count: &str| {
        let path = format!("/badge/blog/caf%C3%A9.svg{count}");
        window.cluster.get(&path).as_str().unwrap().to_string()
    };
    badge("");
    for path in ["/pages/blog/caf%C3%A9", "/pages/blog%2Fcaf%C3%A9"] {
        window.go(path);
        let (before, title): (i64, String) =
            (window.shown(), window.browser.run("return document.title"));
        assert!(title.ends_with("of blog/café"), "{title}");
        badge("");
        eventually("the tick", || window.shown() == before + 1);
    }
    // Two pages were looked at, and three badges were drawn.
    assert!(badge("?count=no").contains("<title>views: 3</title>"));
    window.go("/pages/%2F");
    let before = window.shown();
    let (_, number) = somebody_visits(window);
    assert_eq!(number, before + 1);
    eventually("the tick", || window.shown() == number);
}

fn it_needs_no_script(window: &Window) {
    window.browser.network();
    window.browser.devtools(
        "Emulation.setScriptExecutionDisabled",
        json!({ "value": true }),
    );
    window.go("/");
    let asked: Vec<_> = window
        .browser
        .network()
        .iter()
        .filter_map(|event| event["params"]["request"]["url"].as_str().map(String::from))
        .collect();
    let shown = window.shown();
    let (svg, table): (Value, Vec<String>) = window.browser.run(
        "const svg = document.querySelector('svg[role=img]');
         const said = name => svg.querySelector(name).textContent.trim() !== '';
         return [[said('title'), said('desc'), svg.getBoundingClientRect().height > 40],
             Array.from(document.querySelectorAll('table td'), cell => cell.textContent.trim())];",
    );
    window.browser.screenshot("without-script");
    assert!(shown > 0);
    assert_eq!(svg, json!([true, true, true]));
    assert!(!table.is_empty());
    assert!(!asked.contains(&window.cluster.url("/live")), "{asked:?}");
}

fn it_ticks_again(window: &Window) {
    window.go("/");
    let loaded: f64 = window.browser.run("return performance.timeOrigin");
    let (_, number) = somebody_visits(window);
    eventually("the tick", || window.shown() == number);
    window.browser.network();
    window.cluster.compose(&["stop", "-t", "5", "app"]);
    // A browser by itself stops connecting again after the first answer that is an error.
    eventually("an attempt to connect that Caddy refuses", || {
        window.browser.network().iter().any(|event| {
            let response = &event["params"]["response"];
            response["url"] == window.cluster.url("/live").as_str()
                && response["status"].as_u64() >= Some(500)
        })
    });
    window.cluster.compose(&["start", "app"]);
    window.cluster.wait_healthy();
    let (_, number) = somebody_visits(window);
    eventually("the tick", || window.shown() >= number);
    let now: f64 = window.browser.run("return performance.timeOrigin");
    assert_eq!(now, loaded, "without a reload");
    // Chromium writes this for an answer that broke off and for an error's status.
    window.is_quiet(&["/live - Failed to load resource:"]);
}
