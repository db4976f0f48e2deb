//! A network that falls silent, so that connections neither answer nor end, costs seconds and no
//! connection.

use pageviews::database;
use std::time::Instant;

use rocket::futures::future::{join, join_all};
use rocket::http::Status;
use rocket::tokio;
use sqlx::PgConnection;
use sqlx::migrate::Migrate;

use crate::SOON;
use crate::common::{Stream, signal};
use crate::support::engine::{PageName, engine};
use crate::support::proxy::{Cut, Proxy};
use crate::support::tls::TlsServer;
use crate::support::{self, App, eventually_async, soon};

#[rocket::async_test]
async fn the_pool_gets_its_connections_back() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let client = support::client(&proxy.url).await;
    let read = async || {
        let answers = (0..8).map(|_| client.get("/api/pages/").dispatch());
        let answers = join_all(answers).await;
        let mut statuses = answers.iter().map(|answer| answer.status());
        statuses.all(|status| status == Status::Ok)
    };
    for round in 1..=3 {
        assert!(
            read().await,
            "round {round}: the pool has all its connections"
        );
        // The reads are in the server when the network falls silent.
        let mut holder = support::connect(&url).await;
        let lock = sqlx::raw_sql("BEGIN; LOCK TABLE pages");
        lock.execute(&mut holder).await.unwrap();
        let silence = async {
            support::until_locked(&url, 4).await;
            proxy.silence();
            drop(holder);
        };
        let (answered, ()) = join(read(), silence).await;
        assert!(!answered);
        eventually_async("all reads are answered", read).await;
        let views = client.get("/").dispatch().await;
        assert_eq!(views.status(), Status::Ok);
        // The engine reports readiness just after its first batch.
        eventually_async("readiness", async || {
            client.get("/readyz").dispatch().await.status() == Status::Ok
        })
        .await;
        eventually_async("every silent connection is closed", async || {
            proxy.silent() == 0
        })
        .await;
    }
}

#[rocket::async_test]
async fn live_totals_go_on_over_a_new_connection() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let through = proxy.url.clone();
    let follow = tokio::task::spawn_blocking(move || {
        let app = App::on(through);
        app.wait_ready();
        let mut stream = Stream::open(&app.url("/live"));
        assert_eq!(stream.next(), Some(0));
        (app, stream)
    });
    let (app, mut stream) = soon("the stream", follow).await.unwrap();
    proxy.silence();
    let visit = tokio::task::spawn_blocking(move || {
        let number = app.visit();
        stream.until(number);
        // Without a follower there is no listener.
        drop(stream);
        app
    });
    let _app = soon("the new total", visit).await.unwrap();
    eventually_async("every silent connection is closed", async || {
        proxy.silent() == 0
    })
    .await;
}

#[rocket::async_test]
async fn a_packet_lost_while_listening_begins_keeps_no_connection() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let config = support::config(&proxy.url);
    for packets in 0..4 {
        proxy.silence_next_after(packets);
        let listener = database::listen(config.database().unwrap(), 0, "views").await;
        // A connection that works has two packets: the start, and LISTEN.
        assert_eq!(listener.is_err(), packets <= 2, "after {packets} packets");
        drop(listener);
        eventually_async("the silent connection is closed", async || {
            proxy.silent() == 0
        })
        .await;
    }
}

#[rocket::async_test]
async fn a_packet_lost_before_the_migrations_delays_them_by_seconds() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let config = support::config(&proxy.url);
    // The first connection finds that migrations are missing. The second should apply them.
    proxy.silence_second_after(1);
    let connect = database::connect(config.database().unwrap(), SOON);
    assert!(soon("the time limit", connect).await.is_err());
    let connect = database::connect(config.database().unwrap(), SOON);
    assert!(soon("the database", connect).await.is_ok());
}

#[rocket::async_test]
async fn a_packet_lost_while_connecting_costs_no_view() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let views = engine(&proxy.url).await;
    let mut number = 0;
    for packets in 0..12 {
        number += 1;
        assert_eq!(views.count(PageName::home()).await, Ok(number));
        proxy.silence_next_after(packets);
        let cuts = proxy.arm(Cut::Before);
        number += 1;
        let counted = views.count(PageName::home()).await;
        assert_eq!(counted, Ok(number), "after {packets} packets");
        assert_eq!(proxy.cuts(), cuts + 1);
    }
    assert_eq!(proxy.silent(), 0);
}

#[rocket::async_test]
async fn a_held_lock_of_the_migrations_stops_only_who_has_to_migrate() {
    let url = support::database().await;
    let mut other = support::connect(&url).await;
    // Another replica migrates, and vanishes with the lock.
    other.lock().await.unwrap();
    let migrating = {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            let app = App::on(url);
            crate::common::eventually("the reason", || {
                app.get("/readyz").as_str().unwrap() == "migrating\n"
            });
            app
        })
    };
    let app = soon("the replica that migrates", migrating).await.unwrap();
    assert!(
        app.log()
            .iter()
            .any(|line| line.contains("database migrating")),
        "{:#?}",
        app.log()
    );
    other.unlock().await.unwrap();
    let ready = tokio::task::spawn_blocking(move || app.wait_ready());
    soon("readiness", ready).await.unwrap();
    other.lock().await.unwrap();
    let views = engine(&url).await;
    assert_eq!(views.count(PageName::home()).await, Ok(1));
}

#[rocket::async_test]
#[ignore = "takes half a minute: cargo test --test system -- --ignored"]
async fn a_listener_that_is_stopped_does_not_fill_the_queue_of_notifications() {
    let server = TlsServer::new();
    server.restart(None, None);
    let url = server.url("sslmode=disable");
    let follow = {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            let app = App::on(url);
            app.wait_ready();
            let mut stream = Stream::open(&app.url("/live"));
            assert_eq!(stream.next(), Some(0));
            (app, stream)
        })
    };
    let (stopped, _stream) = soon("the stream", follow).await.unwrap();
    signal(stopped.id(), "STOP");
    let mut admin = support::connect(&url).await;
    // More than the sockets' buffers hold.
    let notify = "SELECT count(pg_notify('views', n || ' /')) FROM generate_series(1, 600000) AS n";
    sqlx::raw_sql(notify).execute(&mut admin).await.unwrap();
    let usage = async |admin: &mut PgConnection| {
        let usage = sqlx::query_scalar::<_, f64>("SELECT pg_notification_queue_usage()");
        usage.fetch_one(admin).await.unwrap()
    };
    assert!(usage(&mut admin).await > 0.0);
    // Another replica measures it.
    let metric = {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            let app = App::on(url);
            app.wait_ready();
            let metrics = app.get("/metrics");
            let line = metrics.as_str().unwrap().lines().find_map(|line| {
                let value = line.strip_prefix("pageviews_notification_queue_ratio ")?;
                value.parse::<f64>().ok()
            });
            line.unwrap()
        })
    };
    assert!(soon("the metric", metric).await.unwrap() > 0.0);
    let begun = Instant::now();
    eventually_async("the server gives up the listener", async || {
        // PostgreSQL empties the queue when it is written to.
        let notify = sqlx::raw_sql("NOTIFY views");
        notify.execute(&mut admin).await.unwrap();
        usage(&mut admin).await < 0.001
    })
    .await;
    println!("given up after {:?}", begun.elapsed());
    signal(stopped.id(), "CONT");
}
