//! The counted page: which requests count, and what the answers hold.

use std::io::Read;

use rocket::http::{Header, Method, Status};
use rocket::local::asynchronous::Client;

use crate::common::answer::text;
use crate::support;

async fn visit(client: &Client) -> i64 {
    let response = client.get("/").dispatch().await;
    assert_eq!(response.status(), Status::Ok);
    support::number(&response.into_string().await.unwrap())
}

#[rocket::async_test]
async fn a_visit_counts_and_shows_the_replica_and_the_database() {
    let url = support::database().await;
    let client = support::client(&url).await;
    assert_eq!(visit(&client).await, 1);
    let response = client.get("/").dispatch().await;
    assert_eq!(
        response.headers().get_one("Cache-Control"),
        Some("no-store")
    );
    let html = response.into_string().await.unwrap();
    assert_eq!(support::number(&html), 2);
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let name = url.split(['/', '?']).nth(3).unwrap();
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(&mut support::connect(&url).await)
        .await
        .unwrap();
    let version = version.split(' ').next().unwrap();
    for (id, expected) in [
        ("views", "2"),
        ("today", "2"),
        ("replica", host.as_str()),
        ("database", name),
        ("database-version", version),
    ] {
        assert_eq!(text(&html, id), Some(expected), "{id} in {html}");
    }
}

#[rocket::async_test]
async fn large_numbers_are_grouped_for_people_and_plain_for_programs() {
    let url = support::database().await;
    let client = support::client(&url).await;
    sqlx::query("INSERT INTO pages VALUES ('/', 1233)")
        .execute(&mut support::connect(&url).await)
        .await
        .unwrap();
    let html = support::page(&client).await;
    assert_eq!(support::number(&html), 1234);
    assert_eq!(text(&html, "views"), Some("1,234"), "{html}");
}

#[rocket::async_test]
async fn only_visits_count() {
    let url = support::database().await;
    let client = support::client(&url).await;
    assert_eq!(visit(&client).await, 1);

    let head = client.head("/").dispatch().await;
    assert_eq!(head.status(), Status::Ok);
    assert_eq!(
        head.content_type().unwrap().to_string(),
        "text/html; charset=utf-8"
    );
    assert_eq!(head.headers().get_one("Cache-Control"), Some("no-store"));
    let length = head.body().preset_size();
    assert_eq!(head.into_string().await.unwrap_or_default(), "");
    let next = client.get("/").dispatch().await;
    assert_eq!(length, next.body().preset_size());
    let answer = next.into_string().await.unwrap();
    assert_eq!(support::number(&answer), 2);

    let options = client.options("/").dispatch().await;
    assert_eq!(options.status(), Status::NoContent);
    assert_eq!(
        options.headers().get_one("Allow"),
        Some("GET, HEAD, OPTIONS")
    );

    for method in [Method::Post, Method::Put, Method::Patch, Method::Delete] {
        let response = client.req(method, "/").dispatch().await;
        assert_eq!(response.status(), Status::MethodNotAllowed);
        assert_eq!(
            response.headers().get_one("Allow"),
            Some("GET, HEAD, OPTIONS")
        );
    }
    for purpose in [
        "prefetch",
        "prefetch;prerender",
        "prefetch;anonymous-client-ip",
    ] {
        let response = client
            .get("/")
            .header(Header::new("Sec-Purpose", purpose))
            .dispatch()
            .await;
        // After an error the browser asks again when the visitor really comes.
        assert_eq!(response.status(), Status::Forbidden);
        assert_eq!(
            response.headers().get_one("Cache-Control"),
            Some("no-store")
        );
    }
    for path in [
        "/favicon.ico",
        "/nowhere",
        "/index.html",
        "/healthz",
        "/readyz",
        "//x",
    ] {
        client.get(path).dispatch().await;
    }
    assert_eq!(visit(&client).await, 3);
    assert_eq!(support::counted(&url, "/").await, 3);
}

#[rocket::async_test]
async fn the_style_is_a_file_that_may_be_cached() {
    let client = support::client(&support::database().await).await;
    let style = client.get("/style.css").dispatch().await;
    assert_eq!(style.content_type(), Some(rocket::http::ContentType::CSS));
    assert_eq!(
        style.headers().get_one("Cache-Control"),
        Some("max-age=3600")
    );
    let page = support::page(&client).await;
    assert!(
        page.contains(r#"<link rel="stylesheet" href="/style.css">"#),
        "{page}"
    );
}

#[rocket::async_test]
async fn a_get_that_came_as_a_post_is_a_get() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
    let forwarded = |path| {
        let post = client.post(path);
        post.header(Header::new("X-Forwarded-Method", "GET"))
    };
    let page = forwarded("/").dispatch().await;
    assert_eq!(support::number(&page.into_string().await.unwrap()), 1);
    let badge = forwarded("/badge/readme.svg").dispatch().await;
    assert_eq!(badge.status(), Status::Ok);
    assert_eq!(support::counted(&url, "readme").await, 1);
    // Only a GET is sent as a POST.
    for (method, claim) in [(Method::Post, "DELETE"), (Method::Put, "GET")] {
        let other = client.req(method, "/");
        let other = other.header(Header::new("X-Forwarded-Method", claim));
        assert_eq!(other.dispatch().await.status(), Status::MethodNotAllowed);
    }
    assert_eq!(visit(&client).await, 2);
}

#[rocket::async_test]
async fn who_reads_gzip_gets_the_same_page_compressed() {
    let client = support::client(&support::database().await).await;
    let get = |accepted| {
        let header = Header::new("Accept-Encoding", accepted);
        client.get("/").header(header).dispatch()
    };
    let plain = get("br").await;
    assert!(!plain.headers().contains("Content-Encoding"));
    assert_eq!(plain.headers().get_one("Vary"), Some("Accept-Encoding"));
    let plain = plain.into_string().await.unwrap();

    let packed = get("gzip, deflate, br, zstd").await;
    assert_eq!(packed.headers().get_one("Content-Encoding"), Some("gzip"));
    assert_eq!(packed.headers().get_one("Vary"), Some("Accept-Encoding"));
    let packed = packed.into_bytes().await.unwrap();
    assert!(packed.len() * 2 < plain.len(), "{} bytes", packed.len());
    let mut html = String::new();
    flate2::read::GzDecoder::new(&*packed)
        .read_to_string(&mut html)
        .unwrap();
    assert_eq!((support::number(&plain), support::number(&html)), (1, 2));
    // The rest of the page is the same.
    assert_eq!(html.lines().count(), plain.lines().count());
}
