//! There are never more pages than `page_limit` allows, and known pages go on.

use std::num::NonZeroU32;
use std::sync::Arc;

use rocket::futures::future::join_all;
use rocket::tokio;

use crate::support::engine::{CountError, Counter, Counting, Limits, PageName, engine, engine_of};
use crate::support::proxy::{Cut, Proxy};
use crate::support::{self, App, binary, eventually_async, soon};

async fn replica(page_limit: u32, url: &str) -> Arc<Counter> {
    let counting = Counting {
        page_limit: NonZeroU32::new(page_limit).unwrap(),
        ..Counting::default()
    };
    engine_of(Limits::default(), counting, url).await
}

#[rocket::async_test]
async fn three_replicas_together_make_no_page_too_many() {
    let url = support::database().await;
    let replicas = join_all([replica(50, &url), replica(50, &url), replica(50, &url)]).await;
    let visits = (0..600).zip(replicas.iter().cycle()).map(|(visit, views)| {
        // Each page is visited twice, on two replicas.
        let (views, page) = (views.clone(), format!("page-{}", visit / 2));
        tokio::spawn(async move { (page.clone(), views.count(page.parse().unwrap()).await) })
    });
    let visits = soon("all visits", join_all(visits)).await;
    let visits: Vec<_> = visits.into_iter().map(Result::unwrap).collect();
    assert_eq!(support::rows(&url).await, 50);
    let counted = support::counts(&url).await;
    assert_eq!(counted.len(), 50);
    for (page, outcome) in &visits {
        match outcome {
            Ok(number) => assert!((1..=counted[page]).contains(number)),
            Err(error) => assert_eq!(*error, CountError::PageLimit),
        }
    }
    let acknowledged = visits.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    assert_eq!(counted.values().sum::<i64>(), acknowledged as i64);
    // The pages that exist go on, whichever replica counts.
    for (views, (page, before)) in replicas.iter().cycle().zip(counted) {
        assert_eq!(views.count(page.parse().unwrap()).await, Ok(before + 1));
    }
}

#[rocket::async_test]
async fn of_new_pages_at_the_same_moment_only_as_many_as_there_is_room_for_are_made() {
    let url = support::database().await;
    let replicas = join_all([replica(2, &url), replica(2, &url), replica(2, &url)]).await;
    assert_eq!(replicas[0].count(PageName::home()).await, Ok(1));
    // All of them have found that there is room for one when the lock is released.
    let mut holder = support::connect(&url).await;
    let lock = sqlx::raw_sql("BEGIN; SELECT FROM page_count FOR UPDATE");
    lock.execute(&mut holder).await.unwrap();
    let visits = (0..).zip(&replicas).map(|(page, views)| {
        let (views, page) = (views.clone(), format!("page-{page}"));
        tokio::spawn(async move { views.count(page.parse().unwrap()).await })
    });
    let visits: Vec<_> = visits.collect();
    support::until_locked(&url, 3).await;
    drop(holder);
    let visits = soon("all visits", join_all(visits)).await;
    let counted = visits
        .into_iter()
        .filter(|visit| matches!(visit, Ok(Ok(1))));
    assert_eq!(counted.count(), 1);
    assert_eq!(support::rows(&url).await, 2);
}

#[rocket::async_test]
async fn pages_of_an_older_version_and_of_an_operator_count_too() {
    let url = support::database().await;
    // It migrates the database.
    engine(&url).await;
    sqlx::raw_sql("INSERT INTO pages SELECT 'old-' || n, n FROM generate_series(1, 9) AS n")
        .execute(&mut support::connect(&url).await)
        .await
        .unwrap();
    let views = replica(10, &url).await;
    assert_eq!(views.count("new".parse().unwrap()).await, Ok(1));
    assert_eq!(views.count("old-3".parse().unwrap()).await, Ok(4));
    let refused = Err(CountError::PageLimit);
    assert_eq!(views.count("newer".parse().unwrap()).await, refused);
    assert_eq!(support::rows(&url).await, 10);
}

#[test]
fn a_new_page_too_many_is_403_and_one_line_of_log() {
    let url = support::wait(support::database());
    let app = App::start(
        binary()
            .env("DATABASE_URL", &url)
            .env("ROCKET_PAGES", r#"["blog/*"]"#)
            .env("ROCKET_PAGE_LIMIT", "2"),
    );
    app.wait_ready();
    let post = |page: &str| {
        let url = app.url(&format!("/api/pages/blog/{page}"));
        minreq::post(url).send().unwrap()
    };
    assert_eq!(app.visit(), 1);
    assert_eq!(post("a").status_code, 201);
    for page in ["b", "c", "d"] {
        let refused = post(page);
        assert_eq!(refused.status_code, 403);
        assert!(refused.as_str().unwrap().contains("allows no more pages"));
    }
    assert_eq!(post("a").status_code, 201);
    assert_eq!(app.visit(), 2);
    let log = app.log();
    let told = log.iter().filter(|line| line.contains("page_limit"));
    assert_eq!(told.count(), 1, "{log:#?}");
    let metrics = app.get("/metrics");
    let refused = r#"pageviews_views_refused_total{reason="page_limit"} 3"#;
    assert!(metrics.as_str().unwrap().contains(refused));
}

#[rocket::async_test]
async fn a_held_lock_of_the_number_of_pages_keeps_no_replica_from_counting() {
    let url = support::database().await;
    engine(&url).await.count(PageName::home()).await.unwrap();
    let mut holder = support::connect(&url).await;
    let lock = sqlx::raw_sql("BEGIN; SELECT FROM page_count FOR UPDATE");
    lock.execute(&mut holder).await.unwrap();
    let views = engine(&url).await;
    assert_eq!(views.count(PageName::home()).await, Ok(2));
}

#[rocket::async_test]
async fn a_new_page_whose_batch_is_lost_counts_once_or_is_refused() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let limit = Cut::ALL.len();
    let views = replica(limit as u32, &proxy.url).await;
    for (page, cut) in Cut::ALL.into_iter().cycle().enumerate().take(2 * limit) {
        let cuts = proxy.arm(cut);
        let counted = views.count(format!("page-{page}").parse().unwrap()).await;
        let expected = match page < limit {
            true => Ok(1),
            false => Err(CountError::PageLimit),
        };
        assert_eq!(counted, expected, "{cut:?}");
        assert_eq!(proxy.cuts(), cuts + 1);
    }
    assert_eq!(support::rows(&url).await, limit as i64);
    assert_eq!(views.count("page-0".parse().unwrap()).await, Ok(2));
}

/// Also while there are so few pages that PostgreSQL would rather read all of them.
#[rocket::async_test]
async fn a_view_of_an_unknown_page_reads_no_other_page() {
    let url = support::database().await;
    let views = engine(&url).await;
    views.count(PageName::home()).await.unwrap();
    let mut admin = support::connect(&url).await;
    let mut scans = async |pages: i64| {
        let mut whole = 0;
        eventually_async("the statistics", async || {
            // A session that works reports each second, and one that is idle only after ten.
            views.count(PageName::home()).await.unwrap();
            let read =
                "SELECT seq_scan, n_tup_ins FROM pg_stat_user_tables WHERE relname = 'pages'";
            let (seq, made): (i64, i64) = sqlx::query_as(read).fetch_one(&mut admin).await.unwrap();
            whole = seq;
            made == pages
        })
        .await;
        whole
    };
    let before = scans(1).await;
    for page in 0..20 {
        let page = format!("page-{page}").parse().unwrap();
        assert_eq!(views.count(page).await, Ok(1));
    }
    assert_eq!(scans(21).await, before);
}
