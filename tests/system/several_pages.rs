//! One request reads the counts of many pages, and of all pages of a pattern together.

use std::time::{Duration, Instant};

use rocket::futures::future::join_all;
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::serde::json::{Value, json};
use sqlx::Connection;

use crate::support::{self, eventually_async};

async fn pages(client: &Client, query: &str) -> Value {
    let answer = client.get(format!("/api/pages?{query}")).dispatch().await;
    assert_eq!(answer.status(), Status::Ok, "{query}");
    let origin = answer.headers().get_one("Access-Control-Allow-Origin");
    assert_eq!(origin, Some("*"));
    let mut body: Value = answer.into_json().await.unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["pages"].take()
}

fn entry(page: &str, views: i64, today: i64) -> Value {
    json!({"page": page, "views": views, "today": today})
}

/// A client of an app that counts these pages. `other` has lost its setting.
async fn client(url: &str) -> Client {
    let client = support::client_of(url, &["readme", "blog/*", "docs/*"]).await;
    sqlx::raw_sql(
        "INSERT INTO pages (page, views, last_day, views_before_last_day)
         SELECT page, views, (now() AT TIME ZONE 'UTC')::date - ago, before FROM (VALUES
            ('/', 7, 0, 5), ('readme', 10, 0, 4), ('blog/a', 100, 0, 99), ('blog/é', 1000, 3, 0),
            ('blogs', 5, 0, 0), ('other', 3, 0, 0)
         ) AS pages (page, views, ago, before)",
    )
    .execute(&mut support::connect(url).await)
    .await
    .unwrap();
    client
}

#[rocket::async_test]
async fn each_name_has_its_entry_in_the_order_of_the_request() {
    let url = support::database().await;
    let client = client(&url).await;
    assert_eq!(
        pages(
            &client,
            "page=blog/%C3%A9&x=y&page=/&page=%2Freadme%2F&page=blog/new&page=readme"
        )
        .await,
        json!([
            entry("blog/é", 1000, 0),
            entry("/", 7, 2),
            entry("readme", 10, 6),
            entry("blog/new", 0, 0),
            entry("readme", 10, 6),
        ])
    );
    // What is not counted does not cost the others their counts.
    assert_eq!(
        pages(
            &client,
            "page=other&page=readme&page=a%20b&page=&page=blogs&page=readme/*"
        )
        .await,
        json!([null, entry("readme", 10, 6), null, null, null, null])
    );
    assert_eq!(support::rows(&url).await, 6);
}

#[rocket::async_test]
async fn a_pattern_has_the_sum_of_its_pages() {
    let url = support::database().await;
    let client = client(&url).await;
    assert_eq!(
        pages(
            &client,
            "page=blog/*&page=docs/*&page=*&page=%2Fblog%2F%2F*"
        )
        .await,
        json!([
            entry("blog/*", 1100, 1),
            entry("docs/*", 0, 0),
            entry("*", 1117, 9),
            entry("blog/*", 1100, 1),
        ])
    );
    // It is read again after a second.
    let post = client.post("/api/pages/blog/b").dispatch().await;
    assert_eq!(post.status(), Status::Created);
    eventually_async("the new sum", async || {
        pages(&client, "page=blog/*").await == json!([entry("blog/*", 1101, 2)])
    })
    .await;
}

#[rocket::async_test]
async fn sums_have_room_for_the_largest_numbers() {
    let url = support::database().await;
    let client = client(&url).await;
    sqlx::raw_sql(
        "INSERT INTO pages (page, views, last_day, views_before_last_day)
         SELECT 'blog/' || n, 1e15, (now() AT TIME ZONE 'UTC')::date, 0
         FROM generate_series(1, 10000) AS n",
    )
    .execute(&mut support::connect(&url).await)
    .await
    .unwrap();
    let most = i64::MAX;
    assert_eq!(
        pages(&client, "page=blog/*").await,
        json!([entry("blog/*", most, most)])
    );
}

#[rocket::async_test]
async fn a_request_reads_up_to_100_names() {
    let url = support::database().await;
    let client = client(&url).await;
    let query = |names: usize| vec!["page=readme"; names].join("&");
    let read = pages(&client, &query(100)).await;
    assert_eq!(read.as_array().unwrap().len(), 100);
    let refused = client.get(format!("/api/pages?{}", query(101)));
    let refused = refused.dispatch().await;
    assert_eq!(refused.status(), Status::UnprocessableEntity);
    let problem: Value = refused.into_json().await.unwrap();
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("up to 100 pages")
    );
}

#[rocket::async_test]
async fn a_sum_is_kept_for_a_second() {
    let url = support::database().await;
    let client = client(&url).await;
    // More than a second may pass between the two on a busy machine.
    eventually_async("an answer without the database", async || {
        pages(&client, "page=blog/*").await;
        let locked = support::lock(&url, "pages").await;
        let answer = client.get("/api/pages?page=blog/*").dispatch().await;
        locked.close().await.unwrap();
        answer.status() == Status::Ok
    })
    .await;
}

/// A sum takes the database some time, so visitors must not be able to keep it busy with them.
#[rocket::async_test]
async fn many_visitors_of_a_sum_ask_the_database_once_and_none_waits_for_long() {
    let url = support::database().await;
    let client = client(&url).await;
    let locked = support::lock(&url, "pages").await;
    let ask = async || {
        let begun = Instant::now();
        let answer = client.get("/api/pages?page=*").dispatch().await;
        assert!(begun.elapsed() < Duration::from_secs(10), "it hangs");
        answer.status().code
    };
    let asks = join_all([ask(), ask(), ask()]);
    let (answers, most) = support::most_asking(&url, "%FILTER%", asks).await;
    assert_eq!(most, 1);
    // Too much to do, which is no reason to take this replica for broken.
    assert_eq!(answers, [429; 3]);
    locked.close().await.unwrap();
    assert_eq!(ask().await, 200);
}
