//! Numbers are handed out in order, for each page and each day, by all replicas at once.

use std::collections::HashSet;

use rocket::futures::future::join_all;
use rocket::tokio;

use crate::support;
use crate::support::engine::{PageName, engine};

#[rocket::async_test]
async fn concurrent_views_get_different_numbers_and_none_is_lost() {
    let url = support::database().await;
    let views = engine(&url).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let views = views.clone();
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..500 {
                    numbers.push(views.count(PageName::home()).await.unwrap());
                }
                numbers
            })
        })
        .collect();
    let mut numbers = HashSet::new();
    for task in tasks {
        let of_task = support::soon("its numbers", task).await.unwrap();
        assert!(of_task.is_sorted(), "a later view has a later number");
        numbers.extend(of_task);
    }
    assert_eq!(numbers, (1..=4000).collect());
    assert_eq!(support::counted(&url, "/").await, 4000);
}

#[rocket::async_test]
async fn pages_are_counted_apart_and_by_day() {
    let url = support::database().await;
    let views = engine(&url).await;
    for expected in 1..=3 {
        assert_eq!(views.count("a".parse().unwrap()).await.unwrap(), expected);
    }
    assert_eq!(views.count("b".parse().unwrap()).await.unwrap(), 1);
    let mut admin = support::connect(&url).await;
    // These views become yesterday's, as if midnight had passed.
    sqlx::raw_sql("UPDATE days SET day = day - 1; UPDATE pages SET last_day = last_day - 1")
        .execute(&mut admin)
        .await
        .unwrap();
    assert_eq!(views.count("a".parse().unwrap()).await.unwrap(), 4);
    let by_day = "SELECT page, array_agg(views ORDER BY day) FROM (
            SELECT page, day, lead(views_before, 1, views)
                OVER (PARTITION BY page ORDER BY day) - views_before AS views
            FROM days JOIN pages USING (page)
        ) AS days GROUP BY page ORDER BY page";
    let rows: Vec<(String, Vec<i64>)> = sqlx::query_as(by_day).fetch_all(&mut admin).await.unwrap();
    assert_eq!(rows, [("a".into(), vec![3, 1]), ("b".into(), vec![1])]);
}

#[rocket::async_test]
async fn replicas_that_start_at_once_all_migrate() {
    let url = support::database().await;
    let clients = [(); 5].map(|()| support::client(&url));
    for client in support::soon("all replicas", join_all(clients)).await {
        assert_eq!(client.get("/").dispatch().await.status().code, 200);
    }
    assert_eq!(support::counted(&url, "/").await, 5);
}
