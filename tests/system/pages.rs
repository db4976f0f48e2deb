//! `/pages/<page>` shows the count of a page, and `/pages` a list of pages. Neither adds a view.

use std::time::{Duration, Instant};

use rocket::futures::future::join_all;
use rocket::http::Status;
use rocket::local::asynchronous::Client;

use crate::common::answer::{heading, number, value};
use crate::support::{self, eventually_async};

/// The app with the setting `overview`, which counts `pages`.
async fn client_with(url: &str, overview: bool, pages: &[&str]) -> Client {
    let mut config = support::config_of(url, pages);
    config.web.overview = overview;
    support::client_with(&config).await
}

async fn html(client: &Client, path: &str) -> String {
    let answer = client.get(path).dispatch().await;
    assert_eq!(answer.status(), Status::Ok, "{path}");
    assert_eq!(answer.headers().get_one("Cache-Control"), Some("no-store"));
    answer.into_string().await.unwrap()
}

/// Gives these pages views, of which so many are of today and the rest of three days ago.
async fn set(url: &str, pages: &[(&str, i64, i64)]) {
    let mut database = support::connect(url).await;
    for (page, views, today) in pages {
        sqlx::query(
            "WITH clock AS (SELECT (now() AT TIME ZONE 'UTC')::date AS today), page AS (
                INSERT INTO pages (page, views, last_day, views_before_last_day)
                SELECT $1, $2, today, $2 - $3 FROM clock
             )
             INSERT INTO days SELECT $1, today - ago, before
             FROM clock, (VALUES (0, $2 - $3), (3, 0)) AS days (ago, before)",
        )
        .bind(page)
        .bind(views)
        .bind(today)
        .execute(&mut database)
        .await
        .unwrap();
    }
}

/// The pages that an overview lists: the end of their address, their views and those of today.
fn listed(html: &str) -> Vec<(String, i64, i64)> {
    let (_, list) = html.split_once("<ol>").unwrap();
    let items = list.split("<li").skip(1);
    let number = |text: &str| text.replace(',', "").parse().unwrap();
    items
        .map(|item| {
            let (_, rest) = item.split_once(r#"href="/pages/"#).unwrap();
            let (path, rest) = rest.split_once('"').unwrap();
            let (_, rest) = rest.split_once("<data value=\"").unwrap();
            let (views, rest) = rest.split_once('"').unwrap();
            let (_, today) = rest.split_once(", ").unwrap();
            let today = today.split_once(" today").unwrap().0;
            (path.replace("&#x2f;", "/"), number(views), number(today))
        })
        .collect()
}

fn entries(pages: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
    let pages = pages.iter();
    pages
        .map(|(page, views, today)| (page.to_string(), *views, *today))
        .collect()
}

#[rocket::async_test]
async fn a_page_shows_its_count_and_its_days_and_adds_no_view() {
    let url = support::database().await;
    let client = client_with(&url, false, &["blog/*", "a&'b", "new"]).await;
    set(
        &url,
        &[
            ("/", 3, 1),
            ("blog/é", 1_234, 200),
            ("a&'b", 1, 1),
            ("other", 9, 9),
        ],
    )
    .await;
    for (path, page, views, today) in [
        ("/pages/blog/%C3%A9", "blog&#x2f;é", 1_234, 200),
        ("/pages//blog%2F%C3%A9/", "blog&#x2f;é", 1_234, 200),
        ("/pages/%2F", "&#x2f;", 3, 1),
        ("/pages/a&'b", "a&amp;&#x27;b", 1, 1),
        ("/pages/new", "new", 0, 0),
    ] {
        let html = html(&client, path).await;
        assert_eq!(
            (number(&html), value(&html, "today")),
            (Some(views), Some(today))
        );
        let end = format!("of <code>{page}</code>");
        assert!(heading(&html).unwrap().ends_with(&end), "{html}");
        assert!(html.contains(&format!("<title>{page} - ")), "{html}");
        let days = views - today;
        assert!(html.contains(&format!(": {}</title>", pageviews::number::thousands(days))));
        let head = client.head(path).dispatch().await;
        assert_eq!(head.status(), Status::Ok, "{path}");
    }
    for path in [
        "/pages/other",
        "/pages/blog",
        "/pages/a%20b",
        "/pages/blog/%FF",
    ] {
        let answer = client.get(path).dispatch().await;
        assert_eq!(answer.status(), Status::NotFound, "{path}");
    }
    assert_eq!(support::counted(&url, "/").await, 3);
    assert_eq!(support::rows(&url).await, 4);
}

#[rocket::async_test]
async fn a_page_says_which_stream_keeps_it_up_to_date() {
    let client = client_with(&support::database().await, false, &["blog/*"]).await;
    for (path, stream) in [
        ("/", "/live"),
        ("/pages/%2F", "/live/%2F"),
        ("/pages/blog/a", "/live/blog/a"),
        ("/pages/blog/%C3%A9", "/live/blog/%C3%A9"),
    ] {
        let html = html(&client, path).await.replace("&#x2f;", "/");
        assert!(html.contains(&format!(r#"data-live="{stream}""#)), "{html}");
        // A stream has no end.
        let answer = client.head(stream).dispatch().await;
        assert_eq!(answer.status(), Status::Ok, "{stream}");
    }
}

#[rocket::async_test]
async fn the_overview_is_closed_until_the_owner_opens_it() {
    let url = support::database().await;
    let client = client_with(&url, false, &["readme"]).await;
    for path in ["/pages", "/pages/", "/pages?by=today"] {
        let answer = client.get(path).dispatch().await;
        assert_eq!(answer.status(), Status::NotFound);
        let said = answer.into_string().await.unwrap();
        assert!(said.contains("ROCKET_OVERVIEW=true"), "{said}");
    }
    for path in ["/", "/pages/readme"] {
        assert!(!html(&client, path).await.contains(r#"href="/pages""#));
    }
    let client = client_with(&url, true, &["readme"]).await;
    for path in ["/", "/pages", "/pages/", "/pages/readme"] {
        assert!(html(&client, path).await.contains(r#"href="/pages""#));
    }
}

#[rocket::async_test]
async fn the_overview_lists_counted_pages_by_views_and_by_those_of_today() {
    let url = support::database().await;
    let client = client_with(&url, true, &["readme", "blog/*"]).await;
    let empty = html(&client, "/pages").await;
    assert_eq!((number(&empty), listed(&empty)), (Some(0), vec![]));
    set(
        &url,
        &[
            ("/", 7, 5),
            ("blog/b", 1_000, 5),
            ("blog/a", 1_000, 5),
            ("readme", 2_000, 0),
            ("blog/é", 5, 4),
            ("blogs", 9_000, 9),
            ("other", 9_000, 9),
        ],
    )
    .await;
    let by_views = entries(&[
        ("readme", 2_000, 0),
        ("blog/a", 1_000, 5),
        ("blog/b", 1_000, 5),
        ("%2F", 7, 5),
        ("blog/%C3%A9", 5, 4),
    ]);
    eventually_async("the pages", async || {
        listed(&html(&client, "/pages?by=views").await) == by_views
    })
    .await;
    let overview = html(&client, "/pages").await;
    assert_eq!(
        (number(&overview), value(&overview, "today")),
        (Some(4_012), Some(19))
    );
    assert!(heading(&overview).unwrap().ends_with("views of 5 pages"));
    // The days of `blog/a`: 995 and 5.
    assert!(
        overview
            .contains(r#"<path class="b" d="M265 100v-100"/><path class="b t" d="M295 100v-1"/>"#)
    );
    let by_today = entries(&[
        ("blog/a", 1_000, 5),
        ("blog/b", 1_000, 5),
        ("%2F", 7, 5),
        ("blog/%C3%A9", 5, 4),
        ("readme", 2_000, 0),
    ]);
    assert_eq!(listed(&html(&client, "/pages?by=today").await), by_today);
    for (path, ..) in by_today {
        html(&client, &format!("/pages/{path}")).await;
    }
    let answer = client.get("/pages?by=name").dispatch().await;
    assert_eq!(answer.status(), Status::UnprocessableEntity);
    let said = answer.into_string().await.unwrap();
    assert!(said.contains("by=today"), "{said}");
}

#[rocket::async_test]
async fn the_overview_names_a_hundred_pages_and_sums_up_all() {
    let url = support::database().await;
    let client = client_with(&url, true, &["*"]).await;
    sqlx::raw_sql(
        "INSERT INTO pages (page, views)
         SELECT 'blog/' || n, 1000000000000000 - n FROM generate_series(1, 10000) AS n",
    )
    .execute(&mut support::connect(&url).await)
    .await
    .unwrap();
    let overview = html(&client, "/pages").await;
    // The largest number that there is.
    assert_eq!(number(&overview), Some(i64::MAX));
    assert!(
        overview.contains("These are the first 100 of 10,000 pages."),
        "{overview}"
    );
    let listed = listed(&overview);
    assert_eq!(listed.len(), 100);
    for (n, (page, ..)) in listed.iter().enumerate() {
        assert_eq!(page, &format!("blog/{}", n + 1));
    }
}

/// To find the overview is much work, so visitors must not be able to keep the database busy.
#[rocket::async_test]
async fn many_visitors_of_the_overview_ask_the_database_once_and_none_waits_for_long() {
    let url = support::database().await;
    let client = client_with(&url, true, &["*"]).await;
    let locked = support::lock(&url, "pages").await;
    let ask = async |path: &'static str| {
        let begun = Instant::now();
        let answer = client.get(path).dispatch().await;
        assert!(begun.elapsed() < Duration::from_secs(10), "it hangs");
        answer.status().code
    };
    let paths = ["/pages", "/pages?by=today", "/pages", "/pages?by=today"];
    let asks = join_all(paths.map(ask));
    let (answers, most) = support::most_asking(&url, "%OVER ()%", asks).await;
    // One statement for each order.
    assert_eq!(most, 2);
    // Too much to do, which is no reason to take this replica for broken.
    assert_eq!(answers, [429; 4]);
    drop(locked);
    eventually_async("the overview", async || ask("/pages").await == 200).await;
    let locked = support::lock(&url, "pages").await;
    assert_eq!(ask("/pages").await, 200, "without the database");
    drop(locked);
}
