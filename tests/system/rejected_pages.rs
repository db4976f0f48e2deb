//! A page that the database cannot count costs no visit of another page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pageviews::database::NotReady;
use rocket::futures::future::join_all;
use rocket::tokio::{self, time};

use crate::support::engine::{
    CountError, Counter, PageName, engine, hold, patient_engine, release,
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
    let views = patient_engine(&url).await;
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
    let views = patient_engine(&proxy.url).await;
    let mut counted = 0;
    for (cut, long) in Cut::ALL
        .into_iter()
        .flat_map(|cut| [(cut, false), (cut, true)])
    {
        counted += 1;
        assert_eq!(views.count(PageName::home()).await, Ok(counted));
        let holder = hold(&url, "/").await;
        let cuts = proxy.arm(cut);
        let visit = {
            let views = views.clone();
            tokio::spawn(async move { views.count(PageName::home()).await })
        };
        eventually_async("the cut", async || proxy.cuts() > cuts).await;
        // In half of the rounds, the copy that is sent again is rejected for the lock.
        let cut_at = Instant::now();
        let held = Duration::from_secs(if long { 3 } else { 0 });
        eventually_async("the rejection", async || cut_at.elapsed() >= held).await;
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
    let views = patient_engine(&url).await;
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

#[rocket::async_test]
async fn an_impatient_visitor_of_a_locked_page_slows_nobody() {
    let url = support::database().await;
    let views = engine(&url).await;
    let holder = hold(&url, "readme").await;
    let impatient = tokio::spawn({
        let views = views.clone();
        async move {
            loop {
                let visit = views.count("readme".parse().unwrap());
                let _ = time::timeout(Duration::from_millis(50), visit).await;
            }
        }
    });
    // From the second attempt on, the page is known.
    let found = async || views.count(PageName::home()).await.is_ok();
    eventually_async("the page is found", found).await;
    let mut quick = 0;
    for _ in 0..20 {
        let begun = Instant::now();
        views.count(PageName::home()).await.unwrap();
        quick += u32::from(begun.elapsed() < Duration::from_secs(2));
    }
    // With a batch that waits for the lock in between, each of them would take 2 s.
    assert!(quick >= 10, "{quick} of 20 visits took less than 2 s");
    impatient.abort();
    release(holder).await;
}

#[rocket::async_test]
async fn a_database_that_rejects_everything_is_failing_until_it_counts_again() {
    let url = support::database().await;
    let views = engine(&url).await;
    assert_eq!(views.count(PageName::home()).await, Ok(1));
    let mut admin = support::connect(&url).await;
    let rename = sqlx::raw_sql("ALTER TABLE pages RENAME TO lost");
    rename.execute(&mut admin).await.unwrap();
    let refused = async || {
        let refused = views.count(PageName::home()).await.err();
        refused == Some(CountError::NotReady(NotReady::Failing))
    };
    eventually_async("a refusal at once", refused).await;
    let rename = sqlx::raw_sql("ALTER TABLE lost RENAME TO pages");
    rename.execute(&mut admin).await.unwrap();
    let counted = async || views.count(PageName::home()).await.is_ok();
    eventually_async("a view is counted", counted).await;
    assert_eq!(views.readiness().last_known(), Ok(()));
}

/// The commit of another replica may take longer than a locked page is waited for otherwise.
#[rocket::async_test]
async fn after_a_slow_commit_a_locked_page_is_waited_for_longer() {
    let url = support::database().await;
    let views = patient_engine(&url).await;
    let mut admin = support::connect(&url).await;
    // A deferred trigger runs in the commit.
    let slow = sqlx::raw_sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON writers
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    slow.execute(&mut admin).await.unwrap();
    assert_eq!(views.count("a".parse().unwrap()).await, Ok(1));
    let holder = hold(&url, "a").await;
    let visit = tokio::spawn({
        let views = views.clone();
        async move { views.count("a".parse().unwrap()).await }
    });
    // For how long which transaction has waited for the lock.
    let mut waiting = async || -> Option<(String, f64)> {
        let waiting = "SELECT xact_start::text,
            date_part('epoch', clock_timestamp() - xact_start) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = sqlx::query_as(waiting).fetch_optional(&mut admin);
        waiting.await.unwrap()
    };
    let mut first = None;
    eventually_async("the first attempt waits", async || {
        first = waiting().await;
        first.is_some()
    })
    .await;
    let (first, _) = first.unwrap();
    eventually_async(
        "the second attempt waits for as long as a commit",
        async || {
            let waiting = waiting().await;
            waiting.is_some_and(|(attempt, seconds)| attempt != first && seconds >= 0.5)
        },
    )
    .await;
    release(holder).await;
    assert_eq!(soon("the visit", visit).await.unwrap(), Ok(2));
}
