//! What other sites embed, through Caddy, and the internal addresses that visitors must not reach.

use rocket::serde::json::{self, Value};

use crate::common::{eventually, header};
use crate::compose::Cluster;

#[test]
#[ignore = "needs Docker"]
fn badge_and_api_count_the_pages_that_are_configured() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["readme", "blog/*"]"#)]);
    for expected in ["1", "2"] {
        let badge = cluster.get("/badge/readme.svg");
        assert_eq!(badge.status_code, 200);
        let svg = badge.as_str().unwrap();
        assert!(
            svg.contains(&format!("<title>views: {expected}</title>")),
            "{svg}"
        );
        for (name, value) in [
            ("content-type", "image/svg+xml; charset=utf-8"),
            (
                "cache-control",
                "max-age=0, no-cache, no-store, must-revalidate",
            ),
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(header(&badge, name).as_deref(), Some(value), "{name}");
        }
    }
    let post = minreq::post(cluster.url("/api/pages/blog/a"))
        .with_timeout(20)
        .send()
        .unwrap();
    assert_eq!(post.status_code, 201);
    let read: Value = json::from_str(cluster.get("/api/pages/blog%2Fa").as_str().unwrap()).unwrap();
    assert_eq!(
        (&read["page"], &read["views"]),
        (&"blog/a".into(), &1.into())
    );
    for path in ["/badge/other.svg", "/api/pages/other"] {
        assert_eq!(cluster.get(path).status_code, 404);
    }

    // The operator's commands.
    let pageviews = |arguments: &[&str]| cluster.pageviews(arguments);
    assert_eq!(pageviews(&["set", "readme", "1000"]), "readme: 2 -> 1000\n");
    assert!(
        cluster
            .get("/badge/readme.svg")
            .as_str()
            .unwrap()
            .contains("views: 1,001<")
    );
    assert_eq!(pageviews(&["get", "readme"]), "1001\n");
    assert_eq!(
        pageviews(&["export"]),
        "page,views\nblog/a,1\nreadme,1001\n"
    );
    assert!(pageviews(&["list"]).contains("readme  1,001"));
}

/// What the answer to a badge is for whoever sends this `Accept` header: the status, the status in
/// the header for those who hide it, the type, and the title of a picture.
fn badge(cluster: &Cluster, path: &str, accept: &str) -> (u16, Option<String>, String, String) {
    let answer = minreq::get(cluster.url(path))
        .with_header("Accept", accept)
        .with_timeout(20)
        .send()
        .unwrap();
    let kind = header(&answer, "content-type").unwrap();
    let title = match kind.starts_with("image/svg+xml") {
        true => {
            let picture = roxmltree::Document::parse(answer.as_str().unwrap()).unwrap();
            let mut elements = picture.descendants();
            let title = elements.find(|element| element.has_tag_name("title"));
            title.unwrap().text().unwrap().to_string()
        }
        false => String::new(),
    };
    (
        answer.status_code,
        header(&answer, "x-error-status"),
        kind,
        title,
    )
}

#[test]
#[ignore = "needs Docker"]
fn an_image_is_answered_by_an_image_with_and_without_the_app() {
    const SVG: &str = "image/svg+xml; charset=utf-8";
    const HTML: &str = "text/html; charset=utf-8";
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["readme", "blog/*"]"#)]);
    let answers = |path: &str, status: u16, title: &str| {
        // An image proxy, and a browser with an `<img>`: only a success is shown everywhere.
        for accept in [
            "image/*",
            "image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8",
        ] {
            assert_eq!(
                badge(&cluster, path, accept),
                (200, Some(status.to_string()), SVG.into(), title.into()),
                "{path}"
            );
        }
        // A program that checks links.
        let checked = badge(&cluster, path, "*/*");
        assert_eq!(checked, (status, None, SVG.into(), title.into()), "{path}");
        // A person.
        let page = badge(
            &cluster,
            path,
            "text/html,application/xhtml+xml,image/webp,*/*;q=0.8",
        );
        assert_eq!(page, (status, None, HTML.into(), String::new()), "{path}");
    };
    answers("/badge/other.svg", 404, "views: not found");
    answers("/badge/readme.svg?color=gren", 422, "views: invalid colour");
    assert!(cluster.counts().is_empty());

    // A client that encodes nothing.
    let unencoded = badge(&cluster, "/badge/blog/café/.svg", "image/*");
    assert_eq!(unencoded, (200, None, SVG.into(), "views: 1".into()));
    assert_eq!(cluster.total("blog/café"), 1);

    // Without its database, the app answers.
    cluster.compose(&["stop", "db"]);
    eventually("the app notices", || cluster.get("/").status_code == 503);
    answers("/badge/readme.svg", 503, "views: unavailable");
    // Without the app, Caddy does.
    cluster.compose(&["stop", "app"]);
    answers("/badge/readme.svg", 503, "views: unavailable");
    let answer = cluster.get("/badge/readme.svg");
    for (name, value) in [
        (
            "cache-control",
            "max-age=0, no-cache, no-store, must-revalidate",
        ),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("retry-after", "2"),
    ] {
        assert_eq!(header(&answer, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
#[ignore = "needs Docker"]
fn internal_addresses_stay_internal_however_they_are_spelled() {
    let cluster = Cluster::up(&[]);
    for name in ["metrics", "healthz", "readyz", "startupz", "configz"] {
        for path in [
            format!("/{name}"),
            format!("/{name}/"),
            format!("/{name}//"),
            format!("//{name}"),
            format!("///{name}//"),
            format!("/./{name}"),
            format!("/x/../{name}"),
            format!("/%2e/{name}"),
            format!("/%2F{name}"),
            format!("/{}", name.to_uppercase()),
            format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]),
            format!("/{name}?x=/"),
            format!("/{name}%20"),
            format!("/{name};x"),
        ] {
            let answer = cluster.get(&path);
            assert!(
                (400..500).contains(&answer.status_code),
                "{path}: {}",
                answer.status_code
            );
            // The app answers only these three addresses in plain text.
            let kind = header(&answer, "content-type").unwrap_or_default();
            let body = answer.as_str().unwrap();
            assert!(
                !kind.starts_with("text/plain") && !body.contains("pageviews_"),
                "{path}: {kind} {body}"
            );
            assert!(!body.contains("unlisted"), "{path}: {body}");
        }
    }
}
