//! The templates: all of minijinja works in them, and one that cannot work stops the start.

use std::fs;
use std::path::Path;

use crate::common::eventually;
use crate::support::{self, App, deployed, wait};

/// The shipped templates, one of which has another text.
fn with(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    support::copy_templates(folder.path());
    fs::write(folder.path().join(name), text).unwrap();
    folder
}

fn serve(templates: &Path, url: &str) -> App {
    let app = App::start(deployed(url).env("ROCKET_TEMPLATE_DIR", templates));
    app.wait_ready();
    app
}

#[test]
fn the_numbers_of_a_view_can_be_compared_calculated_with_and_filtered() {
    let fragment = r#"<data id="views" value="{{ number }}">{{ number | thousands }}</data>
        {%- if number == 2 %}second{% endif %} {{ number * 10 + 1 }}
        {{- " " ~ today | string | length }}"#;
    let templates = with("count.html.j2", fragment);
    let app = serve(templates.path(), &wait(support::database()));
    for (number, text) in [(1, "</data> 11 1"), (2, "</data>second 21 1")] {
        let page = app.get("/");
        let html = page.as_str().unwrap();
        assert_eq!(support::number(html), number);
        assert!(html.contains(text), "{html}");
    }
}

#[test]
fn a_template_that_cannot_work_stops_the_start() {
    let url = wait(support::database());
    for (name, text) in [
        ("home.html.j2", "{{ count }}{{ nobody_defined_this }}"),
        ("home.html.j2", "{{ count }}{{ count }}"),
        ("home.html.j2", "without the fragment"),
        ("count.html.j2", "{{ number | nobody_defined_this }}"),
        (
            "count.html.j2",
            "{% if number > 1 %}{{ nobody_defined_this }}{% endif %}",
        ),
        ("page.html.j2", "{{ count }}{{ nobody_defined_this }}"),
        (
            "overview.html.j2",
            "{% for page in first %}{{ nobody_defined_this }}{% endfor %}",
        ),
        ("bars.html.j2", "{{ heights.nobody_defined_this.name }}"),
        ("chart.html.j2", "{{ days.nobody_defined_this.name }}"),
        (
            "error.html.j2",
            "{% if reference %}{{ nobody_defined_this }}{% endif %}",
        ),
        ("base.html.j2", "{% block"),
    ] {
        let templates = with(name, text);
        let ended = support::output(deployed(&url).env("ROCKET_TEMPLATE_DIR", templates.path()));
        let (log, error) = (
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr),
        );
        assert_eq!(ended.status.code(), Some(1), "{name}: {text}\n{log}{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let stem = name.split('.').next().unwrap();
        assert!(log.contains(stem), "{name}: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn a_page_that_cannot_be_drawn_uses_up_no_number() {
    let url = wait(support::database());
    // It works with the sample values of the start, where the replica has another name.
    let page = r#"{{ count }}{% if replica != "replica" %}{{ nobody_defined_this }}{% endif %}"#;
    let templates = with("home.html.j2", page);
    let app = serve(templates.path(), &url);
    for _ in 0..3 {
        assert_eq!(app.get("/").status_code, 500);
    }
    let cause = |line: &String| line.contains("home") && line.contains("templates");
    eventually("the cause in the log", || app.log().iter().any(cause));
    assert_eq!(wait(support::counted(&url, "/")), 0);
    assert_eq!(wait(support::rows(&url)), 0);
}
