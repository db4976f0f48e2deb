//! The badge: what it draws, what it counts, and that nothing caches it.

use pageviews::counter::moves;
use rocket::http::{ContentType, Header, Status};
use rocket::local::asynchronous::{Client, LocalResponse};

use crate::support;

/// What a browser sends for an `<img>`.
const IMG: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

/// What a browser sends for an address that a person enters.
const NAVIGATION: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

async fn get<'c>(client: &'c Client, path: &'c str) -> LocalResponse<'c> {
    client.get(path).dispatch().await
}

async fn svg(client: &Client, path: &str) -> String {
    let badge = get(client, path).await;
    assert_eq!(badge.status(), Status::Ok, "{path}");
    badge.into_string().await.unwrap()
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
        ("/badge/readme.svg?", "readme", "3"),
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
    let image = || Header::new("Accept", "image/*");
    for badge in [
        get(&client, "/badge/readme.svg").await,
        client.head("/badge/readme.svg").dispatch().await,
        // Errors too.
        client
            .get("/badge/other.svg")
            .header(image())
            .dispatch()
            .await,
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
async fn head_answers_what_get_would_and_counts_nothing() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
    for path in [
        "/badge/readme.svg",
        "/badge/readme.svg?count=no",
        "/badge/readme.svg?style=plastic&label=a",
        "/badge/readme.svg?color=gren",
        "/badge/other.svg",
        "/badge/readme",
    ] {
        let before = support::counted(&url, "readme").await;
        let head = client.head(path).dispatch().await;
        assert_eq!(support::counted(&url, "readme").await, before, "{path}");
        let get = get(&client, path).await;
        assert_eq!(head.status(), get.status(), "{path}");
        assert_eq!(head.content_type(), get.content_type(), "{path}");
        let length = head.body().preset_size();
        assert_eq!(head.into_string().await.unwrap_or_default(), "", "{path}");
        let body = get.into_string().await.unwrap();
        assert_eq!(length, Some(body.len()), "{path}");
    }
}

/// A browser never asks for an image again when a page that it has prerendered is shown.
#[rocket::async_test]
async fn a_badge_of_a_page_that_nobody_looks_at_is_drawn_and_not_counted() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
    for (name, value) in [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ] {
        let badge = client
            .get("/badge/readme.svg")
            .header(Header::new(name, value))
            .dispatch()
            .await;
        assert_eq!(badge.status(), Status::Ok, "{name}: {value}");
        let svg = badge.into_string().await.unwrap();
        assert!(svg.contains("<title>views: 0</title>"), "{svg}");
    }
    assert_eq!(support::rows(&url).await, 0);
}

#[rocket::async_test]
async fn a_request_that_is_no_view_counts_nothing() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
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
    let long = format!("/badge/readme.svg?label={}", "a".repeat(41));
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
        ("/badge/readme.svg?color=gren", 422),
        ("/badge/readme.svg?color=", 422),
        ("/badge/readme.svg?color=transparent", 422),
        ("/badge/readme.svg?color=abcd", 422),
        ("/badge/readme.svg?color=%23%23abc", 422),
        ("/badge/readme.svg?color=rgb(1,2,3)", 422),
        ("/badge/readme.svg?labelColor=1234", 422),
        ("/badge/readme.svg?label=%07", 422),
        ("/badge/readme.svg?label=%EF%BF%BF", 422),
        (&long, 422),
        ("/badge/readme.svg?count=maybe", 422),
        ("/badge/readme.svg?style=round", 422),
        ("/badge/readme.svg?format=short", 422),
        ("/badge/readme.svg?colour=red", 422),
        ("/badge/readme.svg?x", 422),
    ] {
        assert_eq!(get(&client, path).await.status().code, status, "{path}");
    }
    assert_eq!(support::rows(&url).await, 0);
}

#[rocket::async_test]
async fn an_error_is_a_picture_for_whoever_does_not_ask_for_a_page() {
    let client = support::client_of(&support::database().await, &["readme"]).await;
    for (path, status, words) in [
        ("/badge/other.svg", 404, "not found"),
        ("/badge/readme.png", 404, "not found"),
        ("/badge/%FF.svg", 404, "not found"),
        ("/badge/readme.svg?color=gren", 422, "invalid colour"),
        ("/badge/readme.svg?labelColor=gren", 422, "invalid colour"),
        ("/badge/readme.svg?label=%07", 422, "invalid label"),
        ("/badge/readme.svg?style=x", 422, "invalid style"),
        ("/badge/readme.svg?format=x", 422, "invalid format"),
        ("/badge/readme.svg?count=x", 422, "invalid count"),
        ("/badge/readme.svg?x=y", 422, "unknown parameter"),
    ] {
        for (accept, kind, embedded) in [
            (None, ContentType::SVG, None),
            (Some("*/*"), ContentType::SVG, None),
            (Some("image/*"), ContentType::SVG, Some(status)),
            (Some(IMG), ContentType::SVG, Some(status)),
            (Some(NAVIGATION), ContentType::HTML, None),
            (
                Some("application/json"),
                ContentType::new("application", "problem+json"),
                None,
            ),
        ] {
            let mut request = client.get(path);
            if let Some(accept) = accept {
                request.add_header(Header::new("Accept", accept));
            }
            let error = request.dispatch().await;
            assert_eq!(error.status().code, status, "{path}");
            assert_eq!(
                error.content_type(),
                Some(kind.clone()),
                "{path} {accept:?}"
            );
            // Caddy makes these a success, which image proxies want, and keeps the header.
            let header = error.headers().get_one("X-Error-Status");
            assert_eq!(
                header,
                embedded.map(|code: u16| code.to_string()).as_deref()
            );
            let body = error.into_string().await.unwrap();
            if kind == ContentType::SVG {
                let title = format!("<title>views: {words}</title>");
                assert!(body.contains(&title), "{path}: {body}");
            }
        }
    }
}

#[rocket::async_test]
async fn the_query_sets_label_style_and_format() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
    let (mut database, page) = (support::connect(&url).await, "readme".parse().unwrap());
    let set = moves::change(&mut database, async |moves| {
        moves.set(&page, 1_234, false).await
    });
    set.await.unwrap();
    for (query, parts) in [
        ("", &[">views<", ">1,234<", "#007ec6", "#555"][..]),
        ("label=visits", &[">visits<", "visits: "]),
        ("label=a%26b%3Cc%3E%22", &[">a&amp;b&lt;c&gt;&quot;<"]),
        ("label=%E8%A7%A3", &[">解<"]),
        ("label=some+views", &[">some views<"]),
        (
            "label=",
            &[r#"width="41" height="20" role="img" aria-label="1,234""#],
        ),
        ("format=compact", &[">1.2k<", "views: 1.2k"]),
        ("format=full", &[">1,234<"]),
        ("style=flat", &[r#"height="20" rx="3""#]),
        ("style=flat-square", &[r#"shape-rendering="crispEdges""#]),
        ("style=plastic", &[r#"height="18" rx="4""#]),
        ("style=for-the-badge", &[">VIEWS<", r#"height="28""#]),
        ("style=social", &[">Views<", "Helvetica Neue"]),
    ] {
        let path = format!("/badge/readme.svg?count=no&{query}");
        let svg = svg(&client, &path).await;
        for part in parts {
            assert!(svg.contains(part), "{query}: {part} is not in {svg}");
        }
    }
}
