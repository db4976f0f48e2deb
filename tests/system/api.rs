//! The JSON API: reading counts nothing, posting counts one view.

use rocket::http::{Accept, ContentType, Header, Status};
use rocket::serde::json::Value;
use sqlx::Connection;

use crate::support;

#[rocket::async_test]
async fn reading_counts_nothing_and_posting_counts_one() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme", "blog/*"]).await;
    for (path, page) in [
        ("", "/"),
        ("%2F", "/"),
        ("readme", "readme"),
        ("blog/first", "blog/first"),
        ("blog%2Fsecond", "blog/second"),
    ] {
        for _ in 0..2 {
            let number = support::counted(&url, page).await + 1;
            let answer = client.post(format!("/api/pages/{path}")).dispatch().await;
            assert_eq!(answer.status(), Status::Created);
            let location = answer.headers().get_one("Location").unwrap().to_string();
            assert_eq!(
                answer.headers().get_one("Access-Control-Allow-Origin"),
                Some("*")
            );
            let view: Value = answer.into_json().await.unwrap();
            assert_eq!(view["page"], page);
            assert_eq!(view["number"], number);

            for path in [format!("/api/pages/{path}"), location] {
                let answer = client.get(path).dispatch().await;
                assert_eq!(
                    answer.headers().get_one("Access-Control-Allow-Origin"),
                    Some("*")
                );
                assert_eq!(answer.headers().get_one("Cache-Control"), Some("no-store"));
                let read: Value = answer.into_json().await.unwrap();
                assert_eq!(read["page"], page);
                assert_eq!(read["views"], number);
                assert_eq!(read["today"], number);
                assert_eq!(read["days"].as_array().unwrap().len(), 30);
                assert_eq!(read["days"][29]["views"], number);
            }
        }
    }
}

/// A script of a page that is prerendered sends this before anybody looks at the page.
#[rocket::async_test]
async fn a_view_that_nobody_has_is_refused_in_words_that_the_script_can_read() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
    for purpose in ["prefetch", "prefetch;prerender"] {
        let refused = client
            .post("/api/pages/readme")
            .header(Header::new("Sec-Purpose", purpose))
            .dispatch()
            .await;
        assert_eq!(refused.status(), Status::Forbidden);
        let origin = refused.headers().get_one("Access-Control-Allow-Origin");
        assert_eq!(origin, Some("*"));
        let problem: Value = refused.into_json().await.unwrap();
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("when it is shown")
        );
        // To read is no view.
        let read = client
            .get("/api/pages/readme")
            .header(Header::new("Sec-Purpose", purpose))
            .dispatch()
            .await;
        assert_eq!(read.status(), Status::Ok);
    }
    assert_eq!(support::rows(&url).await, 0);
}

#[rocket::async_test]
async fn a_page_that_is_not_counted_is_a_problem_and_no_row() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme"]).await;
    let paths = [
        "other",
        "readme/x",
        "a%20b",
        "..%2Freadme",
        "%00",
        "%ff",
        "readme/views",
    ];
    for path in paths {
        for request in [
            client.get(format!("/api/pages/{path}")),
            client.post(format!("/api/pages/{path}")),
        ] {
            // The API answers in JSON even if the client prefers HTML.
            let answer = request.header(Accept::HTML).dispatch().await;
            assert_eq!(answer.status(), Status::NotFound, "{path}");
            let kind = ContentType::new("application", "problem+json");
            assert_eq!(answer.content_type(), Some(kind));
            assert_eq!(
                answer.headers().get_one("Access-Control-Allow-Origin"),
                Some("*")
            );
            let problem: Value = answer.into_json().await.unwrap();
            assert_eq!(problem["type"], "about:blank");
            assert_eq!(problem["status"], 404);
            assert_eq!(problem["title"], "Not Found");
            assert!(problem["detail"].is_string());
        }
    }
    assert_eq!(support::rows(&url).await, 0);
}

#[rocket::async_test]
async fn a_wrong_method_is_answered_with_the_allowed_ones() {
    let url = support::database().await;
    let client = support::client_of(&url, &["readme", "blog/*"]).await;
    for (path, allowed) in [
        ("/api/pages/readme", "GET, HEAD, POST, OPTIONS"),
        ("/api/pages/%2F", "GET, HEAD, POST, OPTIONS"),
        ("/api/pages/", "GET, HEAD, POST, OPTIONS"),
        ("/api/pages/blog/a/views", "GET, HEAD, POST, OPTIONS"),
        ("/badge/readme.svg", "GET, HEAD, OPTIONS"),
        ("/style.css", "GET, HEAD, OPTIONS"),
        ("/api/openapi.json", "GET, HEAD, OPTIONS"),
    ] {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS",
        ] {
            let answer = client
                .req(method.parse::<rocket::http::Method>().unwrap(), path)
                .dispatch()
                .await;
            let expected = match method {
                "OPTIONS" => 204,
                _ if !allowed.split(", ").any(|name| name == method) => 405,
                "POST" => 201,
                _ => 200,
            };
            assert_eq!(answer.status().code, expected, "{method} {path}");
            let listed = matches!(expected, 204 | 405).then_some(allowed);
            assert_eq!(answer.headers().get_one("Allow"), listed, "{method} {path}");
        }
    }
    // A browser sends this before a script on another site may post JSON.
    let preflight = client
        .options("/api/pages/readme")
        .header(Header::new("Origin", "https://elsewhere.example"))
        .header(Header::new("Access-Control-Request-Method", "POST"))
        .dispatch()
        .await;
    assert_eq!(
        preflight.headers().get_one("Access-Control-Allow-Origin"),
        Some("*")
    );
    assert_eq!(
        preflight.headers().get_one("Access-Control-Allow-Methods"),
        Some("GET, HEAD, POST, OPTIONS")
    );
}

#[rocket::async_test]
async fn a_history_that_takes_too_long_is_no_sign_of_a_replica_that_cannot_count() {
    let url = support::database().await;
    let client = support::client(&url).await;
    let mut admin = support::connect(&url).await;
    let mut lock = admin.begin().await.unwrap();
    let locked = sqlx::query("LOCK TABLE days").execute(&mut *lock).await;
    locked.unwrap();
    let answer = client.get("/api/pages/").dispatch().await;
    assert_eq!(answer.status(), Status::TooManyRequests);
    assert!(answer.headers().contains("Retry-After"));
    lock.rollback().await.unwrap();
    let answer = client.get("/api/pages/").dispatch().await;
    assert_eq!(answer.status(), Status::Ok);
}
