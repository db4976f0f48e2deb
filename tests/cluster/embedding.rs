//! What other sites embed, through Caddy, and the internal addresses that visitors must not reach.

use rocket::serde::json::{self, Value};

use crate::common::header;
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
    let pageviews = |arguments: &[&str]| {
        cluster.compose(&[&["exec", "-T", "app", "/app/pageviews"], arguments].concat())
    };
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

#[test]
#[ignore = "needs Docker"]
fn internal_addresses_stay_internal_however_they_are_spelled() {
    let cluster = Cluster::up(&[]);
    for name in ["metrics", "healthz", "readyz", "pages"] {
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
