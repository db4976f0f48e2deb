//! The page's appearance in a real browser: it fits its window, and axe finds nothing wrong.

use std::collections::HashSet;

use rocket::serde::json::{Value, json};

use crate::browser::Window;
use crate::common::{eventually, or_skip};

/// An error page of the app, and one of Caddy.
const ERROR_PAGES: [&str; 2] = ["/nowhere", "/healthz"];

/// The pages of counts.
const PAGES: [&str; 3] = ["/", "/pages/blog/caf%C3%A9", "/pages"];

/// The pages that set colours. Caddy's page has the browser's own, and axe cannot decide about
/// those in the dark.
const COLOURED: [&str; 4] = ["/", "/pages/blog/caf%C3%A9", "/pages", "/nowhere"];

/// Chromium writes this on the console for a document with this status.
const NOT_FOUND: &str =
    "Failed to load resource: the server responded with a status of 404 (Not Found)";

/// The largest number that `pageviews set` accepts.
const LARGEST: i64 = 1_000_000_000_000_000;

const INSTALL_AXE: &str = "there is no axe; python3 -m pip install --no-deps --target target/axe \
    axe-playwright-python==0.1.8";

/// Returns the rules that passed, without those that axe could not decide, and all violations.
const RUN_AXE: &str = "
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    return axe.run({ runOnly: tags }).then(({ passes, violations, incomplete }) => {
        const undecided = incomplete.map(({ id }) => id);
        const passed = passes.map(({ id }) => id).filter(id => !undecided.includes(id));
        const where = nodes => nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary);
        return [passed, violations.map(({ id, nodes }) => ({ id, where: where(nodes) }))];
    });";

/// Sets the colour scheme that the visitor prefers.
fn prefer(window: &Window, scheme: &str) {
    let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
    window.browser.devtools(
        "Emulation.setEmulatedMedia",
        json!({ "features": [feature] }),
    );
}

/// Fails if the console holds anything but the statuses of the error pages.
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

/// axe checks the contrast of both.
pub fn light_and_dark_differ(window: &Window) {
    let mut papers = HashSet::new();
    for scheme in ["light", "dark"] {
        prefer(window, scheme);
        for path in COLOURED {
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
        let views = views.to_string();
        for page in ["/", "blog/café"] {
            let set = ["set", page, &views, "--repeat-numbers"];
            window.cluster.pageviews(&set);
        }
    };
    window.go("/");
    let (before, largest) = (window.shown(), LARGEST);
    for views in [before, largest] {
        set(views);
        for (width, height) in [(320, 568), (3840, 2160)] {
            window.browser.devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": width, "height": height, "deviceScaleFactor": 1,
                    "mobile": false }),
            );
            for path in COLOURED {
                window.go(path);
                if path == "/pages" {
                    // The list may be five seconds old, in each replica.
                    eventually("the new numbers", || {
                        window.go(path);
                        window.shown() >= 2 * views
                    });
                }
                let found: Value = window.browser.run(
                    "const shown = document.getElementById('views') ?? document.querySelector('h1');
                     const { width, left, top, right, bottom } = shown.getBoundingClientRect();
                     return [innerWidth, document.documentElement.scrollWidth <= innerWidth,
                         width > 0 && left >= 0 && top >= 0
                         && right <= innerWidth && bottom <= innerHeight];",
                );
                let size = format!(
                    "{width}x{height}-{}",
                    if views == largest { "largest" } else { "few" }
                );
                if path != "/nowhere" {
                    let name = format!("{size}{}", path.replace(['/', '%'], "-"));
                    window.browser.screenshot(&name);
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
        for path in PAGES.iter().chain(&ERROR_PAGES) {
            window.go(path);
            window.browser.run::<()>(&axe);
            let (passed, violations): (HashSet<String>, Vec<Value>) = window.browser.run(RUN_AXE);
            found.extend(
                violations
                    .iter()
                    .map(|violation| format!("{scheme} {path}: {violation}")),
            );
            // axe measured the contrast of all text of this page.
            if COLOURED.contains(path) && !passed.contains("color-contrast") {
                found.push(format!("{scheme} {path}: no contrast in {passed:?}"));
            }
        }
    }
    is_quiet(window);
    assert!(found.is_empty(), "{found:#?}");
}
