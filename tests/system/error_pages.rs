//! Each error is a page for people and a problem document for programs.

use rocket::http::{Accept, Header, Status};
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
    assert!(!json.headers().contains("X-Request-Id"));
    let mut json: Value = json.into_json().await.unwrap();
    let detail = json["detail"].take();
    assert!(!detail.as_str().unwrap().is_empty());
    let expected =
        json!({ "type": "about:blank", "title": "Not Found", "status": 404, "detail": null });
    assert_eq!(json, expected);

    // The Accept header or the address asks for JSON. The id of the request is in the answer.
    let id = "0b6ec0d4-9f6c-4a0e-8d5e-0123456789ab";
    for (path, accept) in [
        ("/nowhere", Accept::from(problem.media_type().clone())),
        ("/api/nowhere", Accept::HTML),
    ] {
        let id = Header::new("X-Request-Id", id);
        let json = client.get(path).header(accept).header(id.clone());
        let json = json.dispatch().await;
        assert_eq!(json.content_type(), Some(problem.clone()), "{path}");
        assert_eq!(json.headers().get_one("X-Request-Id"), Some(id.value()));
        let json: Value = json.into_json().await.unwrap();
        assert_eq!(json["instance"], format!("urn:uuid:{}", id.value()));
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
    for code in [400, 404, 405, 413, 422, 431, 500, 503] {
        let response = client.get(format!("/fail/{code}")).dispatch().await;
        assert_eq!(response.status().code, code);
        assert_eq!(response.headers().contains("Retry-After"), code == 503);
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
