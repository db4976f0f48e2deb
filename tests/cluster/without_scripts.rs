//! The recipe of docs/embedding.md for browsers without scripts: a badge, which counts instead of
//! the script.

use rocket::serde::json::json;

use crate::chromium::Chromium;
use crate::common::{eventually, or_skip};
use crate::compose::Cluster;
use crate::site::{Site, counts, line};

#[test]
#[ignore = "needs Docker"]
fn a_page_counts_once_with_and_without_scripts() {
    let Some(browser) = or_skip("a site without scripts", Chromium::start()) else {
        return;
    };
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["blog/*"]"#)]);
    let counter = cluster.url("");
    let page = format!(
        r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Post</title>
        {}<p><span data-views>some</span> views</p>
        <noscript><img src="{counter}/badge/blog/first-post/.svg" alt="views"></noscript></html>"#,
        line(&counter, "")
    );
    let site = Site::serve(vec![("/blog/first-post/", page)]);
    let views = |views: i64| counts(&[("blog/first-post", views)]);

    browser.go(&site.url("/blog/first-post/"));
    let shown = || browser.run::<String>("return document.querySelector('span').textContent");
    eventually("the number", || shown() == "1");
    assert_eq!(cluster.counts(), views(1));

    browser.devtools(
        "Emulation.setScriptExecutionDisabled",
        json!({ "value": true }),
    );
    browser.go(&site.url("/blog/first-post/"));
    let image = "const image = document.querySelector('img');
                 return [image.complete && image.naturalWidth > 0,
                     document.querySelector('span').textContent];";
    assert_eq!(browser.run::<(bool, String)>(image), (true, "some".into()));
    assert_eq!(cluster.counts(), views(2));
}
