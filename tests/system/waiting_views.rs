//! A view that has to wait is counted, refused or given up.

use std::collections::HashSet;
use std::num::NonZeroU16;

use rocket::futures::future::join_all;
use rocket::tokio;

use crate::support::engine::{CountError, Limits, PageName, engine, engine_with, hold, release};
use crate::support::proxy::{Full, Proxy};
use crate::support::{self, eventually_async, soon};

#[rocket::async_test]
async fn a_disk_without_room_for_pages_is_waited_for_and_then_refused() {
    a_full_disk_is_waited_for_and_then_refused(Full::Pages).await;
}

#[rocket::async_test]
async fn a_disk_without_room_for_anything_is_waited_for_and_then_refused() {
    a_full_disk_is_waited_for_and_then_refused(Full::Everything).await;
}

async fn a_full_disk_is_waited_for_and_then_refused(full: Full) {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let settings = Limits {
        deadline: NonZeroU16::new(2).unwrap(),
        ..Limits::default()
    };
    let views = engine_with(settings, &proxy.url).await;
    assert_eq!(views.count(PageName::home()).await, Ok(1));
    proxy.fill_disk(Some(full));
    assert_eq!(views.count(PageName::home()).await, Err(CountError::Late));
    proxy.fill_disk(None);
    // The server refused the view's batch, so the view was not counted.
    let mut number = 0;
    eventually_async("a view is counted", async || {
        let counted = views.count(PageName::home()).await;
        counted.is_ok_and(|counted| {
            number = counted;
            true
        })
    })
    .await;
    assert_eq!(support::counted(&url, "/").await, number);
    assert!(number <= 3);
    // A full disk costs no view if it is over before the deadline.
    proxy.fill_disk(Some(full));
    let waiting = tokio::spawn({
        let views = views.clone();
        async move { views.count(PageName::home()).await }
    });
    let refused = proxy.refusals();
    eventually_async("two attempts", async || proxy.refusals() >= refused + 2).await;
    proxy.fill_disk(None);
    let waited = soon("the view that waited", waiting).await;
    assert_eq!(waited.unwrap(), Ok(number + 1));
}

#[rocket::async_test]
async fn a_visitor_who_leaves_before_the_batch_is_sent_is_not_counted() {
    let url = support::database().await;
    let views = engine(&url).await;
    assert_eq!(views.count(PageName::home()).await, Ok(1));
    let holder = hold(&url, "/").await;
    let visit = || {
        let views = views.clone();
        tokio::spawn(async move { views.count(PageName::home()).await })
    };
    // The first view is sent and waits for the lock. The others wait for the first.
    let first = visit();
    support::until_locked(&url, 1).await;
    let others: Vec<_> = (0..20).map(|_| visit()).collect();
    tokio::task::yield_now().await;
    for (index, other) in others.iter().enumerate() {
        if index % 2 == 0 {
            other.abort();
        }
    }
    release(holder).await;
    assert_eq!(soon("the first", first).await.unwrap(), Ok(2));
    let stayed: HashSet<_> = soon("the others", join_all(others))
        .await
        .into_iter()
        .flatten()
        .map(Result::unwrap)
        .collect();
    assert_eq!(stayed, (3..=12).collect());
    assert_eq!(support::counted(&url, "/").await, 12);
}

#[rocket::async_test]
async fn past_its_bound_the_queue_refuses_at_once() {
    let url = support::database().await;
    let settings = Limits {
        queue: NonZeroU16::new(10).unwrap(),
        ..Limits::default()
    };
    let views = engine_with(settings, &url).await;
    assert_eq!(views.count(PageName::home()).await, Ok(1));
    let holder = hold(&url, "/").await;
    let visits: Vec<_> = (0..100)
        .map(|_| {
            let views = views.clone();
            tokio::spawn(async move { views.count(PageName::home()).await })
        })
        .collect();
    // Only refused visits are answered while the lock is held.
    eventually_async("50 refusals", async || {
        visits.iter().filter(|visit| visit.is_finished()).count() >= 50
    })
    .await;
    release(holder).await;
    let answers = soon("the others", join_all(visits)).await;
    let answers = answers.into_iter().map(Result::unwrap);
    let (counted, refused): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
    assert!(
        refused
            .iter()
            .all(|answer| *answer == Err(CountError::Busy)),
        "{refused:?}"
    );
    assert_eq!(support::counted(&url, "/").await, 1 + counted.len() as i64);
}
