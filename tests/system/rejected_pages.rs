//! A page that the database cannot count costs no visit of another page.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use rocket::futures::future::join_all;
use rocket::tokio;

use crate::support::engine::{
    CountError, Counter, Limits, PageName, engine, engine_with, hold, release,
};
use crate::support::proxy::{Cut, Proxy};
use crate::support::visitors::Visitors;
use crate::support::{self, eventually_async, soon};

/// Visits other pages one after the other, while visitors of `bad` wait. Each visit of another page
/// must be answered, and each visit of `bad` must be refused.
async fn visits_beside(views: &Arc<Counter>, bad: &str) {
    let visitors_of_bad: Vec<_> = (0..4)
        .map(|_| {
            let (views, bad) = (views.clone(), bad.parse().unwrap());
            tokio::spawn(async move { views.count(bad).await })
        })
        .collect();
    let others = (0..32).map(|visitor| {
        let views = views.clone();
        tokio::spawn(async move {
            let page: PageName = format!("other-{visitor}").parse().unwrap();
            let begun = Instant::now();
            let mut number = 0;
            // Long enough for the bad page to be sought and tried again.
            while number < 50 || begun.elapsed().as_secs() < 4 {
                number += 1;
                assert_eq!(views.count(page.clone()).await, Ok(number));
            }
        })
    });
    for other in soon("the other pages", join_all(others)).await {
        other.unwrap();
    }
    assert_eq!(views.readiness().last_known(), Ok(()));
    for visit in soon("the bad page", join_all(visitors_of_bad)).await {
        assert_eq!(visit.unwrap(), Err(CountError::Late));
    }
}

#[rocket::async_test]
async fn a_locked_row_costs_other_pages_no_visit() {
    let url = support::database().await;
    let views = engine(&url).await;
    let holder = hold(&url, "readme").await;
    visits_beside(&views, "readme").await;
    release(holder).await;
    // The visitors of the locked page had left, so none of them was counted.
    assert_eq!(views.count("readme".parse().unwrap()).await, Ok(1));
}

#[rocket::async_test]
async fn a_full_row_costs_other_pages_no_visit() {
    let url = support::database().await;
    let views = engine(&url).await;
    sqlx::query("INSERT INTO pages VALUES ('readme', $1)")
        .bind(i64::MAX)
        .execute(&mut support::connect(&url).await)
        .await
        .unwrap();
    visits_beside(&views, "readme").await;
    assert_eq!(support::counted(&url, "readme").await, i64::MAX);
}

#[rocket::async_test]
async fn a_corrupt_row_costs_other_pages_no_visit() {
    let url = support::database().await;
    let views = engine(&url).await;
    // The code with which PostgreSQL reports a corrupt row.
    sqlx::raw_sql(
        "CREATE FUNCTION corrupt() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE 'invalid page in block 0' USING ERRCODE = 'data_corrupted'; END $$;
         CREATE TRIGGER corrupt BEFORE INSERT ON pages FOR EACH ROW
            WHEN (NEW.page = 'readme') EXECUTE FUNCTION corrupt()",
    )
    .execute(&mut support::connect(&url).await)
    .await
    .unwrap();
    visits_beside(&views, "readme").await;
    assert_eq!(support::counted(&url, "readme").await, 0);
}

#[rocket::async_test]
async fn one_locked_page_among_2000_is_found_in_time() {
    let url = support::database().await;
    let views = engine(&url).await;
    let holder = hold(&url, "page-1000").await;
    let visits = (0..2_000).map(|page| {
        let views = views.clone();
        tokio::spawn(async move {
            let counted = views.count(format!("page-{page}").parse().unwrap()).await;
            (page, counted)
        })
    });
    for visit in soon("all visits", join_all(visits)).await {
        match visit.unwrap() {
            (1000, counted) => assert_eq!(counted, Err(CountError::Late)),
            (page, counted) => assert_eq!(counted, Ok(1), "page-{page}"),
        }
    }
    release(holder).await;
}

#[rocket::async_test]
async fn a_row_that_is_released_in_time_costs_no_visit() {
    let url = support::database().await;
    let views = engine(&url).await;
    let holder = hold(&url, "a").await;
    let visitors = Visitors::start(std::slice::from_ref(&views), 16);
    // The first batch waits for the lock. This view comes after it, when the page was found.
    assert_eq!(views.count("other".parse().unwrap()).await, Ok(1));
    release(holder).await;
    visitors.go_on(1_000).await;
    assert_eq!(visitors.add_up(&url).await, 0);
}

#[rocket::async_test]
async fn a_batch_that_is_lost_and_then_rejected_counts_once() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let views = engine(&proxy.url).await;
    let mut counted = 0;
    for cut in Cut::ALL.repeat(2) {
        counted += 1;
        assert_eq!(views.count(PageName::home()).await, Ok(counted));
        let holder = hold(&url, "/").await;
        let cuts = proxy.arm(cut);
        let visit = {
            let views = views.clone();
            tokio::spawn(async move { views.count(PageName::home()).await })
        };
        // The copy that is sent again waits for the lock, or is rejected for it.
        eventually_async("the cut", async || proxy.cuts() > cuts).await;
        release(holder).await;
        counted += 1;
        assert_eq!(
            soon("the visit", visit).await.unwrap(),
            Ok(counted),
            "{cut:?}"
        );
    }
    assert_eq!(support::counted(&url, "/").await, counted);
}

#[rocket::async_test]
async fn a_batch_too_large_for_its_time_limit_is_halved() {
    let url = support::database().await;
    let limits = Limits {
        deadline: NonZeroU16::new(25).unwrap(),
        ..Limits::default()
    };
    let views = engine_with(limits, &url).await;
    // 400 pages take 4 s, and a statement may take 2.5 s.
    sqlx::raw_sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON pages FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .execute(&mut support::connect(&url).await)
    .await
    .unwrap();
    let visits = (0..400).map(|page| {
        let views = views.clone();
        tokio::spawn(async move { views.count(format!("page-{page}").parse().unwrap()).await })
    });
    for visit in soon("all visits", join_all(visits)).await {
        assert_eq!(visit.unwrap(), Ok(1));
    }
}
