//! Each error is a page for people and a problem document for programs.

use rocket::http::{Accept, Status};
use rocket::local::asynchronous::Client;
use rocket::serde::json::{Value, json};

use crate::common::answer::heading;
use crate::support;

#[rocket::async_test]
async fn errors_are_a_page_for_people_and_json_for_programs() {
    let client = support::client(&support::database().await).await;
    let page = client.get("/nowhere").header(Accept::HTML).dispatch().await;
    assert_eq!(page.status(), Status::NotFound);
    let html = page.into_string().await.unwrap();
    assert!(heading(&html).unwrap().contains("404"), "{html}");
    assert!(html.contains("<html lang=\"en\""), "{html}");

    let json = client.get("/nowhere").header(Accept::JSON).dispatch().await;
    assert_eq!(json.status(), Status::NotFound);
    let problem = rocket::http::ContentType::new("application", "problem+json");
    assert_eq!(json.content_type(), Some(problem.clone()));
    let mut json: Value = json.into_json().await.unwrap();
    let detail = json["detail"].take();
    assert!(!detail.as_str().unwrap().is_empty());
    let expected =
        json!({ "type": "about:blank", "title": "Not Found", "status": 404, "detail": null });
    assert_eq!(json, expected);

    // The Accept header or the address asks for JSON.
    for (path, accept) in [
        ("/nowhere", Accept::from(problem.media_type().clone())),
        ("/api/nowhere", Accept::HTML),
    ] {
        let json = client.get(path).header(accept).dispatch().await;
        assert_eq!(json.content_type(), Some(problem.clone()), "{path}");
        let json: Value = json.into_json().await.unwrap();
        assert!(
            json.get("instance").is_none(),
            "the log has no line about it"
        );
    }
}

/// The routes of this test fail with each status, so that its catcher answers.
#[rocket::async_test]
async fn every_error_page_renders() {
    #[rocket::get("/fail/<code>")]
    fn fail(code: u16) -> Status {
        Status::new(code)
    }
    #[rocket::get("/panic")]
    fn panics() -> &'static str {
        panic!("as a bug would")
    }
    let config = support::config(&support::database().await);
    let rocket = pageviews::rocket(&config).unwrap();
    let rocket = rocket.mount("/", rocket::routes![fail, panics]);
    let client = Client::untracked(rocket).await.unwrap();
    for code in [400, 403, 404, 405, 413, 422, 429, 431, 500, 503, 504] {
        let response = client.get(format!("/fail/{code}")).dispatch().await;
        assert_eq!(response.status().code, code);
        let may_help = [429, 503, 504].contains(&code);
        assert_eq!(response.headers().contains("Retry-After"), may_help);
        let html = response.into_string().await.unwrap();
        let heading = heading(&html).unwrap();
        assert!(heading.contains(&code.to_string()), "{heading}");
    }
    let response = client.get("/panic").dispatch().await;
    assert_eq!(response.status(), Status::InternalServerError);
    assert!(
        !response
            .into_string()
            .await
            .unwrap()
            .contains("as a bug would")
    );
}
