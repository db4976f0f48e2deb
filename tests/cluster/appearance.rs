//! How the page looks in a real browser: what can be read, what fits, and what axe says.

use std::collections::HashSet;

use rocket::serde::json::{Value, json};

use crate::browser::Window;
use crate::common::or_skip;

/// What the app answers, and what Caddy answers for itself.
const ERROR_PAGES: [&str; 2] = ["/nowhere", "/healthz"];

/// What Chromium itself says of the document's own status.
const NOT_FOUND: &str =
    "Failed to load resource: the server responded with a status of 404 (Not Found)";

/// The largest number that `pageviews set` takes.
const LARGEST: i64 = 1_000_000_000_000_000;

const INSTALL_AXE: &str = "there is no axe; python3 -m pip install --no-deps --target target/axe \
    axe-playwright-python==0.1.8";

/// The rules that passed, without those that axe could not decide; and what is wrong, and where.
const RUN_AXE: &str = "
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    return axe.run({ runOnly: tags }).then(({ passes, violations, incomplete }) => {
        const undecided = incomplete.map(({ id }) => id);
        const passed = passes.map(({ id }) => id).filter(id => !undecided.includes(id));
        const where = nodes => nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary);
        return [passed, violations.map(({ id, nodes }) => ({ id, where: where(nodes) }))];
    });";

/// Lets the browser prefer light or dark.
fn prefer(window: &Window, scheme: &str) {
    let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
    window.browser.devtools(
        "Emulation.setEmulatedMedia",
        json!({ "features": [feature] }),
    );
}

/// Nothing on the console but what Chromium itself says of the status of the error pages.
fn is_quiet(window: &Window) {
    let own = ERROR_PAGES.map(|path| format!("{} - {NOT_FOUND}", window.cluster.url(path)));
    window.is_quiet(&own.each_ref().map(String::as_str));
}

pub fn the_icon_is_a_picture(window: &Window) {
    window.go("/");
    let width: u32 = window.browser.run(
        "const icon = new Image();
         icon.src = document.querySelector('link[rel=icon]').href;
         return icon.decode().then(() => icon.naturalWidth);",
    );
    assert!(width > 0);
}

/// Their contrast is axe's to check.
pub fn light_and_dark_differ(window: &Window) {
    let mut papers = HashSet::new();
    for scheme in ["light", "dark"] {
        prefer(window, scheme);
        for path in ["/", "/nowhere"] {
            window.go(path);
            let paper: String = window
                .browser
                .run("return getComputedStyle(document.body).backgroundColor");
            println!("{scheme} {path}: {paper}");
            papers.insert(paper);
        }
        window.go("/");
        window.browser.screenshot(scheme);
    }
    is_quiet(window);
    assert_eq!(papers.len(), 2, "{papers:?}");
}

pub fn it_fits(window: &Window) {
    let set = |views: i64| {
        let set = ["exec", "-T", "app", "/app/pageviews", "set", "/"];
        let views = views.to_string();
        let views = [views.as_str(), "--repeat-numbers"];
        window.cluster.compose(&[&set[..], &views].concat());
    };
    window.go("/");
    let (before, largest) = (window.shown(), LARGEST);
    for views in [before, largest] {
        set(views);
        for (width, height) in [(320, 568), (3840, 2160)] {
            window.browser.devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
            );
            for path in ["/", "/nowhere"] {
                window.go(path);
                let found: Value = window.browser.run(
                    "const box = (document.getElementById('views') ?? document.querySelector('h1')).getBoundingClientRect();
                     return [innerWidth, document.documentElement.scrollWidth <= innerWidth, box.width > 0 && box.left >= 0
                         && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight];",
                );
                let size = format!(
                    "{width}x{height}-{}",
                    if views == largest { "largest" } else { "few" }
                );
                if path == "/" {
                    window.browser.screenshot(&size);
                }
                assert_eq!(found, json!([width, true, true]), "{size} {path}");
            }
        }
    }
    set(before);
    is_quiet(window);
}

pub fn errors_are_calm(window: &Window) {
    for path in ERROR_PAGES {
        window.go(path);
        let (title, icon): (String, bool) = window
            .browser
            .run("return [document.title, !!document.querySelector('link[rel=icon]')]");
        assert!(title.contains("404"), "{path}: {title}");
        assert!(
            icon,
            "{path}: without one, /favicon.ico is asked for in vain"
        );
    }
    is_quiet(window);
}

pub fn axe_finds_nothing(window: &Window) {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/axe/axe_playwright_python/axe.min.js"
    );
    let axe = std::fs::read_to_string(file).map_err(|_| INSTALL_AXE.into());
    let Some(axe) = or_skip("whether axe finds nothing", axe) else {
        return;
    };
    let mut found = Vec::new();
    for scheme in ["light", "dark"] {
        prefer(window, scheme);
        for path in ["/"].iter().chain(&ERROR_PAGES) {
            window.go(path);
            window.browser.run::<()>(&axe);
            let (passed, violations): (HashSet<String>, Vec<Value>) = window.browser.run(RUN_AXE);
            found.extend(
                violations
                    .iter()
                    .map(|violation| format!("{scheme} {path}: {violation}")),
            );
            // Neither skipped nor undecided: axe measured the contrast of this page's text.
            if !passed.contains("color-contrast") {
                found.push(format!("{scheme} {path}: no contrast in {passed:?}"));
            }
        }
    }
    is_quiet(window);
    assert!(found.is_empty(), "{found:#?}");
}
