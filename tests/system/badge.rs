//! The badge: what it draws, what it counts, and that nothing caches it.

use rocket::http::{ContentType, Header, Status};
use rocket::local::asynchronous::{Client, LocalResponse};

use crate::support;

async fn get<'c>(client: &'c Client, path: &'c str) -> LocalResponse<'c> {
    client.get(path).dispatch().await
}

#[rocket::async_test]
async fn fetching_a_badge_counts_one_view_unless_the_query_says_no() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme", "blog/*"]).await;
    for (path, page, value) in [
        ("/badge/readme.svg", "readme", "1"),
        ("/badge/readme.svg?count=no", "readme", "1"),
        ("/badge/readme.svg?count=no&count=no", "readme", "1"),
        ("/badge/readme.svg?count=no&count=yes", "readme", "1"),
        ("/badge/readme.svg?count=yes", "readme", "2"),
        ("/badge/blog/a/b.svg", "blog/a/b", "1"),
        ("/badge/blog%2Fa%2Fb.svg", "blog/a/b", "2"),
        ("/badge/.svg", "/", "1"),
    ] {
        let badge = get(&client, path).await;
        assert_eq!(badge.status(), Status::Ok, "{path}");
        assert_eq!(badge.content_type(), Some(ContentType::SVG));
        let svg = badge.into_string().await.unwrap();
        assert!(
            svg.contains(&format!("<title>views: {value}</title>")),
            "{path}: {svg}"
        );
        assert_eq!(support::counted(&url, page).await.to_string(), value);
    }
}

#[rocket::async_test]
async fn no_cache_keeps_a_badge_and_every_site_may_show_it() {
    let client = support::client_of(&support::database().await, &["readme"]).await;
    for badge in [
        get(&client, "/badge/readme.svg").await,
        client.head("/badge/readme.svg").dispatch().await,
    ] {
        for (name, value) in [
            (
                "Cache-Control",
                "max-age=0, no-cache, no-store, must-revalidate",
            ),
            ("Pragma", "no-cache"),
            ("Expires", "0"),
            ("Access-Control-Allow-Origin", "*"),
            ("Cross-Origin-Resource-Policy", "cross-origin"),
        ] {
            let found: Vec<_> = badge.headers().get(name).collect();
            assert_eq!(found, [value], "{name}");
        }
    }
}

#[rocket::async_test]
async fn a_request_that_is_no_view_counts_nothing() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
    assert_eq!(
        client.head("/badge/readme.svg").dispatch().await.status(),
        Status::Ok
    );
    let prefetch = client
        .get("/badge/readme.svg")
        .header(Header::new("Sec-Purpose", "prefetch"));
    assert_eq!(prefetch.dispatch().await.status(), Status::Forbidden);
    let options = client.options("/badge/readme.svg").dispatch().await;
    assert_eq!(options.status(), Status::NoContent);
    assert_eq!(
        options.headers().get_one("Allow"),
        Some("GET, HEAD, OPTIONS")
    );
    assert_eq!(
        client.post("/badge/readme.svg").dispatch().await.status(),
        Status::MethodNotAllowed
    );
    for (path, status) in [
        ("/badge/other.svg", 404),
        ("/badge/readme", 404),
        ("/badge/readme.png", 404),
        ("/badge/readme.svg.svg", 404),
        ("/badge/", 404),
        ("/badge", 404),
        ("/badge/..svg", 404),
        ("/badge/blog/..%2F..%2Freadme.svg", 404),
        ("/badge/readme.svg?color=re%22d", 422),
        ("/badge/readme.svg?color=%2B12345", 422),
        ("/badge/readme.svg?labelColor=1234", 422),
        ("/badge/readme.svg?label=%07", 422),
        (
            "/badge/readme.svg?label=12345678901234567890123456789012345678901",
            422,
        ),
        ("/badge/readme.svg?count=maybe", 422),
    ] {
        assert_eq!(get(&client, path).await.status().code, status, "{path}");
    }
    assert_eq!(support::rows(&url).await, 0);
}

#[rocket::async_test]
async fn the_query_sets_label_and_colours() {
    let client = support::client_of(&support::database().await, &["readme"]).await;
    for (query, parts) in [
        ("", &[">views<", "#007ec6", "#555555"][..]),
        ("label=visits", &[">visits<", "visits: "]),
        ("label=a%26b%3Cc%3E%22", &[">a&amp;b&lt;c&gt;&quot;<"]),
        ("label=%E8%A7%A3", &[">解<"]),
        (
            "label=",
            &[r#"width="17" height="20" role="img" aria-label="1""#],
        ),
        ("color=green&labelColor=0af", &["#97ca00", "#00aaff"]),
        (
            "color=%23ABCDEF&labelColor=white",
            &["#abcdef", "#ffffff", r##"fill="#333""##],
        ),
    ] {
        let path = format!(
            "/badge/readme.svg?{query}{}count=no",
            if query.is_empty() { "" } else { "&" }
        );
        let svg = get(&client, &path).await.into_string().await.unwrap();
        for part in parts {
            // The page has no views yet.
            let part = part.replace("aria-label=\"1\"", "aria-label=\"0\"");
            assert!(svg.contains(&part), "{query}: {part} is not in {svg}");
        }
    }
}
