//! The limit on the views that count of one client.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use pageviews::config::Web;
use rocket::http::{Header, Status};
use rocket::local::asynchronous::Client;
use rocket::serde::json::json;

use crate::common::answer::{number, value};
use crate::support;
use crate::uncounted_visits::{PERSON, Visitor, client, not_counted};

fn limit(views_a_minute: u32) -> Web {
    Web {
        limit: Some(NonZeroU32::new(views_a_minute).unwrap()),
        ..Web::default()
    }
}

/// Visits as `visitor` until a visit is not counted. Returns how many were.
async fn until_limited(client: &Client, visitor: Visitor<'_>) -> i64 {
    let begun = Instant::now();
    let (mut counted, mut last) = (0, None);
    loop {
        let (number, is_view) = visitor.visit(client).await;
        if !is_view {
            // Not his number, but that of somebody before.
            assert_eq!(last, Some(number));
            return counted;
        }
        (counted, last) = (counted + 1, Some(number));
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "there is no limit"
        );
    }
}

#[rocket::async_test]
async fn above_the_limit_a_visit_is_shown_and_not_counted() {
    let url = support::database().await;
    let client = client(&url, limit(10)).await;
    let visitor = Visitor(PERSON, Some("203.0.113.7"));
    let begun = Instant::now();
    let counted = until_limited(&client, visitor).await;
    // One more view in each six seconds.
    let most = 10 + 1 + begun.elapsed().as_secs() as i64 / 6;
    assert!((10..=most).contains(&counted), "{counted}");
    assert_eq!(support::counted(&url, "/").await, counted);
    // No page and no way to ask has a limit of its own.
    let uncounted =
        visitor.post(&client).await == (Status::Ok, json!({"page": "readme", "views": 0}));
    let is_late = begun.elapsed() > Duration::from_secs(5);
    assert!(uncounted || is_late);
    assert!(not_counted(&client, "limit").await > 0);
    // Other clients, image proxies, and those without an address are not limited.
    for other in [
        Visitor(PERSON, Some("203.0.113.8")),
        Visitor("github-camo (a1b2c3d4)", Some("203.0.113.7")),
        Visitor(PERSON, None),
    ] {
        assert!(other.visit(&client).await.1, "{}", other.0);
    }
    for path in [
        "/badge/readme.svg?count=no",
        "/pages/readme",
        "/api/pages/readme",
    ] {
        assert_eq!(visitor.get(&client, path).await.status(), Status::Ok);
    }
}

#[rocket::async_test]
async fn a_network_of_ipv6_is_one_client() {
    let url = support::database().await;
    let client = client(&url, limit(1)).await;
    let visit = async |address| Visitor(PERSON, Some(address)).visit(&client).await.1;
    assert!(visit("2001:db8:1:2::1").await);
    assert!(!visit("2001:db8:1:2:ffff::1").await);
    assert!(visit("2001:db8:1:3::1").await);
    assert!(visit("::ffff:203.0.113.7").await);
    assert!(!visit("203.0.113.7").await);
}

/// Who only looks, or asks for something that is not there, keeps his views.
#[rocket::async_test]
async fn only_views_use_up_the_limit() {
    let url = support::database().await;
    let client = client(&url, limit(1)).await;
    let visitor = Visitor(PERSON, Some("203.0.113.7"));
    for path in [
        "/badge/readme.svg?count=no",
        "/badge/readme.svg?color=gren",
        "/badge/other.svg",
        "/pages/readme",
    ] {
        let address = Header::new("X-Real-IP", "203.0.113.7");
        client.get(path).header(address).dispatch().await;
    }
    visitor.ask(client.head("/")).await;
    let html = visitor.get(&client, "/").await.into_string().await.unwrap();
    assert_eq!((number(&html), value(&html, "today")), (Some(1), Some(1)));
    let html = visitor.get(&client, "/").await.into_string().await.unwrap();
    assert_eq!((number(&html), value(&html, "today")), (Some(1), Some(1)));
}
