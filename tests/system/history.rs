//! The views by day, from the database and on the page.

use pageviews::counter::history::{self, DAYS};
use pageviews::database::Db;
use pageviews::page::PageName;

use rocket::futures::future::join_all;
use rocket_db_pools::Database;
use rocket_db_pools::Pool as _;

use crate::common::answer::value;
use crate::support;

/// Gives the page `/` 5 views 40 days ago, 10 views 3 days ago and 2 views yesterday.
async fn with_history(url: &str) {
    sqlx::raw_sql(
        "INSERT INTO pages VALUES ('/', 17);
         INSERT INTO days SELECT '/', (now() AT TIME ZONE 'UTC')::date - ago, before
         FROM (VALUES (40, 0), (3, 5), (1, 15)) AS days (ago, before)",
    )
    .execute(&mut support::connect(url).await)
    .await
    .unwrap();
}

#[rocket::async_test]
async fn days_add_up_and_those_without_a_view_are_there() {
    let url = support::database().await;
    let client = support::client(&url).await;
    let read = async || {
        history::read(&mut support::connect(&url).await, &PageName::home())
            .await
            .unwrap()
    };
    let nothing = read().await;
    assert_eq!((nothing.views, nothing.today()), (0, 0));
    assert_eq!(nothing.days.len(), DAYS);

    with_history(&url).await;
    let before = read().await;
    let views: Vec<_> = before.days.iter().map(|day| day.views).collect();
    assert_eq!((before.views, before.today()), (17, 0));
    assert_eq!(views[..DAYS - 4], [0; DAYS - 4]);
    assert_eq!(views[DAYS - 4..], [10, 0, 2, 0]);
    assert!(before.days.is_sorted_by_key(|day| day.day.clone()));

    client.get("/").dispatch().await;
    client.get("/").dispatch().await;
    let after = read().await;
    assert_eq!((after.views, after.today()), (19, 2));
}

#[rocket::async_test]
async fn the_page_shows_today_and_thirty_days() {
    let url = support::database().await;
    let client = support::client(&url).await;
    with_history(&url).await;
    for today in 1..=3 {
        let html = support::page(&client).await;
        assert_eq!(support::number(&html), 17 + today);
        // Today's number is exact although the chart is drawn only once a second.
        assert_eq!(value(&html, "today"), Some(today), "{html}");
        assert_eq!(html.matches("<tr><th>").count() - 1, DAYS);
        for part in [r#"<svg"#, r#"role="img""#, "<title", "<desc", "<caption>"] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }
}

#[rocket::async_test]
async fn the_page_weighs_less_than_12_kb() {
    let url = support::database().await;
    let client = support::client(&url).await;
    sqlx::raw_sql(
        "INSERT INTO pages VALUES ('/', 999999999999999);
         INSERT INTO days SELECT '/', (now() AT TIME ZONE 'UTC')::date - ago,
             999999999999999 - ago * 98765432100::bigint
         FROM generate_series(0, 40) AS ago",
    )
    .execute(&mut support::connect(&url).await)
    .await
    .unwrap();
    let mut weight = 0;
    for path in ["/", "/style.css", "/page.js", "/icon.svg"] {
        weight += client
            .get(path)
            .dispatch()
            .await
            .into_string()
            .await
            .unwrap()
            .len();
    }
    assert!(weight < 12_000, "{weight}");
}

#[rocket::async_test]
async fn without_its_history_the_page_still_counts() {
    let url = support::database().await;
    let client = support::client(&url).await;
    // Reading the history finds no free connection. Counting has a connection of its own.
    let db = Db::fetch(client.rocket()).unwrap();
    let (_, _, limit) = db.connections();
    let all = (0..limit).map(|_| db.get());
    let held = support::soon("all connections", join_all(all)).await;
    assert!(held.iter().all(Result::is_ok));
    let html = support::page(&client).await;
    assert_eq!(support::number(&html), 1);
    assert!(!html.contains("<svg"), "{html}");
    assert_eq!(value(&html, "today"), None, "{html}");
    drop(held);
    // The application tries again soon.
    support::eventually_async("the chart", async || {
        support::page(&client).await.contains("<svg")
    })
    .await;
}
