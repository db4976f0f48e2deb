//! Each view is counted once, in whatever way the server or the connection to it breaks.

use std::sync::Arc;

use private_postgres::PrivatePostgres;
use rocket::futures::future::join_all;
use rocket::tokio;

use crate::common::{eventually, signal};
use crate::support::engine::{PageName, engine, patient_engine};
use crate::support::proxy::{Cut, Proxy};
use crate::support::visitors::Visitors;
use crate::support::{self, eventually_async, soon};

#[rocket::async_test]
async fn of_256_clients_on_many_pages_each_gets_its_own_number() {
    let url = support::database().await;
    let visitors = Visitors::start(&[engine(&url).await], 256);
    visitors.go_on(50_000).await;
    assert_eq!(visitors.add_up(&url).await, 0);
}

#[rocket::async_test]
async fn three_replicas_share_a_database_without_a_deadlock() {
    let url = support::database().await;
    let replicas = join_all([engine(&url), engine(&url), engine(&url)]).await;
    let visitors = Visitors::start(&replicas, 96);
    visitors.go_on(30_000).await;
    assert_eq!(visitors.add_up(&url).await, 0);
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&mut support::connect(&url).await)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0);
}

#[rocket::async_test]
async fn connections_terminated_200_times_cost_no_view() {
    let url = support::database().await;
    let replicas = join_all([engine(&url), engine(&url)]).await;
    let visitors = Visitors::start(&replicas, 32);
    let mut admin = support::connect(&url).await;
    let mut terminated = 0;
    for _ in 0..10_000 {
        // Ends one connection, both or neither, at a random moment of a statement.
        let found = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'pageviews' AND datname = current_database()
             AND random() < 0.5",
        );
        terminated += found.fetch_all(&mut admin).await.unwrap().len();
        visitors.go_on(1).await;
        if terminated >= 200 {
            break;
        }
    }
    assert!(terminated >= 200, "{terminated}");
    visitors.go_on(100).await;
    assert_eq!(
        visitors.add_up(&url).await,
        0,
        "acknowledged = counted = attempted"
    );
}

/// The short form of the next test.
#[rocket::async_test]
async fn a_server_killed_3_times_under_load_loses_nothing() {
    killed(3).await;
}

#[rocket::async_test]
#[ignore = "takes a minute: cargo test --test system -- --ignored"]
async fn a_server_killed_20_times_under_load_loses_nothing() {
    killed(20).await;
}

/// Kills the server `times` times with -9, while 32 visitors come.
async fn killed(times: usize) {
    let server = Arc::new(PrivatePostgres::ephemeral().unwrap());
    let url = server.url("pageviews");
    let visitors = Visitors::start(&[patient_engine(&url).await], 32);
    for _ in 0..times {
        visitors.go_on(500).await;
        let server = server.clone();
        let restarted = tokio::task::spawn_blocking(move || {
            signal(server.processes().unwrap()[0], "KILL");
            eventually("the restart", || server.restart().is_ok());
        });
        soon("the restart", restarted).await.unwrap();
    }
    visitors.go_on(500).await;
    assert_eq!(
        visitors.add_up(&url).await,
        0,
        "the server was back within the deadline"
    );
}

#[rocket::async_test]
async fn a_connection_cut_before_inside_and_after_the_commit_counts_once() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let views = engine(&proxy.url).await;
    let mut expected = 0;
    for cut in Cut::ALL.repeat(4) {
        expected += 1;
        assert_eq!(views.count(PageName::home()).await, Ok(expected));
        let cuts = proxy.arm(cut);
        expected += 1;
        assert_eq!(views.count(PageName::home()).await, Ok(expected), "{cut:?}");
        assert_eq!(proxy.cuts(), cuts + 1, "{cut:?} happened");
    }
    assert_eq!(support::counted(&url, "/").await, expected);
}

#[rocket::async_test]
async fn connections_cut_at_random_under_load_cost_no_view() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let visitors = Visitors::start(&[engine(&proxy.url).await], 64);
    for cut in Cut::ALL.repeat(20) {
        let cuts = proxy.arm(cut);
        eventually_async("the cut", async || {
            visitors.go_on(1).await;
            proxy.cuts() > cuts
        })
        .await;
    }
    visitors.go_on(100).await;
    assert_eq!(
        visitors.add_up(&url).await,
        0,
        "acknowledged = counted = attempted"
    );
}

#[rocket::async_test]
async fn counting_goes_on_in_a_restored_database() {
    let url = support::database().await;
    let views = engine(&url).await;
    assert_eq!(views.count(PageName::home()).await, Ok(1));
    // An older backup does not know this writer.
    sqlx::raw_sql("DELETE FROM writers")
        .execute(&mut support::connect(&url).await)
        .await
        .unwrap();
    assert_eq!(views.count(PageName::home()).await, Ok(2));
}
