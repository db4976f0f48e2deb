//! Replicas tell each other which pages have new totals, apart from the batches.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pageviews::counter::ledger;
use rocket::http::Status;
use sqlx::postgres::PgListener;

use crate::common::{Stream, eventually};
use crate::support::{self, App, soon, wait};

async fn listener(url: &str) -> PgListener {
    let mut listener = PgListener::connect(url).await.unwrap();
    listener.listen("views").await.unwrap();
    listener
}

/// The pages that the next notification names.
async fn named(listener: &mut PgListener) -> BTreeSet<String> {
    let notification = soon("a notification", listener.recv()).await.unwrap();
    notification.payload().lines().map(String::from).collect()
}

#[rocket::async_test]
async fn replicas_hear_of_many_views_a_few_times() {
    let url = support::database().await;
    let client = support::client_of(&url, &["a", "b"]).await;
    let mut listener = listener(&url).await;
    let begun = Instant::now();
    let mut views = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        for page in ["a", "b"] {
            let view = client.post(format!("/api/pages/{page}")).dispatch();
            assert_eq!(view.await.status(), Status::Created);
            views += 1;
        }
    }
    support::page(&client).await;
    let (mut notifications, mut heard) = (0, BTreeSet::new());
    while !heard.contains("/") {
        heard.append(&mut named(&mut listener).await);
        notifications += 1;
    }
    let most = begun.elapsed().as_millis() / 100 + 1;
    println!("{notifications} notifications of {views} views");
    assert!(notifications <= most, "{notifications}, at most {most}");
    assert_eq!(heard, ["/", "a", "b"].map(String::from).into());
}

#[rocket::async_test]
async fn as_many_names_as_a_batch_can_have_are_all_heard() {
    let url = support::database().await;
    let mut listener = listener(&url).await;
    let mut names: BTreeSet<_> = (0..2048).map(|n| format!("{n:é>200}")).collect();
    let mut connection = support::connect(&url).await;
    ledger::announce(&mut connection, &names).await.unwrap();
    while !names.is_empty() {
        for name in named(&mut listener).await {
            assert!(names.remove(&name), "{name}");
        }
    }
}

/// The programs of a server share one queue of notifications, and one lock.
#[test]
fn notifications_that_wait_and_fail_cost_no_view() {
    let url = wait(support::database());
    wait(async {
        let mut admin = support::connect(&url).await;
        // In the place of PostgreSQL's own function.
        let install = "CREATE FUNCTION public.pg_notify(text, text) RETURNS void
            LANGUAGE plpgsql AS $$ BEGIN
                PERFORM pg_sleep(1);
                RAISE program_limit_exceeded
                    USING MESSAGE = 'too many notifications in the NOTIFY queue';
            END $$;
            DO $$ BEGIN
                EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog',
                    current_database());
            END $$";
        sqlx::raw_sql(install).execute(&mut admin).await.unwrap();
    });
    let app = App::on(&url);
    app.wait_ready();
    let mut stream = Stream::open(&app.url("/live"));
    assert_eq!(stream.next(), Some(0));
    // Since when a notification waits.
    let waiting = || {
        let waiting = "SELECT query_start::text FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep'";
        wait(async {
            let mut admin = support::connect(&url).await;
            let waiting = sqlx::query_scalar::<_, String>(waiting).fetch_optional(&mut admin);
            waiting.await.unwrap()
        })
    };
    let mut last = 0;
    let mut visit = || {
        last += 1;
        assert_eq!(app.visit(), last);
    };
    eventually("a notification that waits while views are counted", || {
        visit();
        let before = waiting();
        (0..3).for_each(|_| visit());
        before.is_some() && waiting() == before
    });
    // A stream begins with a total that was read after it began, although another stream has one.
    assert_eq!(Stream::open(&app.url("/live")).next(), Some(last));
    let logged = || {
        let log = app.log();
        let mut lines = log.into_iter().filter(|line| line.contains("live totals"));
        lines.next()
    };
    eventually("a line of log", || logged().is_some());
    let line = logged().unwrap();
    assert!(line.contains("too many notifications"), "{line}");
    assert_eq!(app.get("/readyz").status_code, 200);
    // Without notifications the totals are read from time to time.
    stream.until(app.visit());
}

#[test]
fn a_count_that_an_operator_lowers_shows_at_once_and_goes_on_from_there() {
    let url = wait(support::database());
    let app = App::on(&url);
    app.wait_ready();
    let mut stream = Stream::open(&app.url("/live"));
    for number in 1..=5 {
        assert_eq!(app.visit(), number);
    }
    stream.until(5);
    let mut show_at_once = |total| {
        let begun = Instant::now();
        stream.until(total);
        // Without notifications the totals are read every 15 s.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    };
    let set = ["set", "/", "2", "--repeat-numbers"];
    assert_eq!(support::run(&url, "[]", &set).0, 0);
    show_at_once(2);
    assert_eq!(app.visit(), 3);
    show_at_once(3);
}
