//! Pages that have views and lost their setting: the operator is warned, and told the right remedy.

use rocket::serde::json::{self, Value};

use crate::common::eventually;
use crate::support::{self, App, binary, deployed, wait};

/// A database that has views of `/` and of these pages.
fn with_views(pages: &[&str]) -> String {
    let url = wait(support::database());
    for page in ["/"].iter().chain(pages) {
        let mut set = binary();
        set.args(["set", page, "7"]).env("ROCKET_PAGES", r#"["*"]"#);
        let done = support::output(set.env("DATABASE_URL", &url));
        assert!(done.status.success(), "{done:?}");
    }
    url
}

fn pages(app: &App) -> Value {
    json::from_str(app.get("/configz").as_str().unwrap()).unwrap()
}

#[test]
fn the_log_and_the_app_name_pages_without_a_setting() {
    let url = with_views(&["blog/a", "old", "readme"]);
    let app = App::start(deployed(&url).env("ROCKET_PAGES", r#"["blog/*"]"#));
    app.wait_ready();
    let warning = |line: &String| line.contains("warn") && line.contains("old, readme;");
    eventually("the warning in the log", || app.log().iter().any(warning));
    let pages = pages(&app);
    assert_eq!(pages["counted"], json::json!(["/", "blog/*"]));
    assert_eq!(
        pages["unlisted"],
        json::json!({"count": 2, "examples": ["old", "readme"]})
    );
}

#[test]
fn nobody_is_warned_when_every_page_has_its_setting() {
    let url = with_views(&["readme"]);
    let app = App::start(deployed(&url).env("ROCKET_PAGES", r#"["readme"]"#));
    app.wait_ready();
    assert_eq!(app.visit(), 8);
    assert_eq!(
        pages(&app)["unlisted"],
        json::json!({"count": 0, "examples": []})
    );
    assert!(
        !app.log()
            .iter()
            .any(|line| line.contains("no setting names"))
    );
}

#[test]
fn the_remedy_keeps_the_pages_that_are_counted() {
    let url = wait(support::database());
    let mut set = binary();
    set.args(["set", "new", "1"]).env("DATABASE_URL", url);
    let refused = support::output(set.env("ROCKET_PAGES", r#"["readme", "blog/*"]"#));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    let remedy = r#"ROCKET_PAGES='["readme", "blog/*", "new"]'"#;
    assert!(error.contains(remedy), "{error}");
}
