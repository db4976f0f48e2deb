//! The days of a page add up to its views and none is negative, whatever the clock and the time
//! zone do.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use pageviews::counter::{history, ledger, moves};
use pageviews::page::PageName;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rocket::futures::TryStreamExt;
use rocket::futures::future::join_all;
use rocket::serde::json::{self, Value};
use rocket::tokio::runtime::Runtime;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::common::answer::value;
use crate::common::eventually;
use crate::support::engine::engine;
use crate::support::{self, App, binary, clock, eventually_async, output, soon};

/// What happens next to a page.
#[derive(Clone, Debug)]
enum Step {
    /// The clock jumps to this hour after an instant long ago.
    Clock(u32),
    /// Days begin in another time zone.
    TimeZone(&'static str),
    /// So many views are counted.
    Count(i64),
    /// The page is set to this number.
    Set(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..24 * 100_u32).prop_map(Step::Clock),
        1 => prop::sample::select(vec!["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
            .prop_map(Step::TimeZone),
        5 => (1..5_i64).prop_map(Step::Count),
        1 => (0..20_i64).prop_map(Step::Set),
    ]
}

async fn take(database: &mut PgConnection, page: &PageName, step: &Step, batch: i64) {
    match step {
        Step::Clock(hours) => {
            let set = "UPDATE clock.hand SET time = '2026-01-01 00:30+00'::timestamptz
                       + make_interval(hours => $1)";
            let set = sqlx::query(set).bind(*hours as i32).execute(database);
            set.await.unwrap();
        }
        Step::TimeZone(zone) => {
            let set = sqlx::query("UPDATE settings SET time_zone = $1").bind(zone);
            set.execute(database).await.unwrap();
        }
        Step::Count(views) => {
            let (pages, views) = ([page.as_str()], [*views]);
            let add = ledger::add(database, Uuid::nil(), batch, &pages, &views, true);
            add.await.unwrap();
        }
        Step::Set(views) => {
            let set = moves::change(database, async |moves| moves.set(page, *views, true).await);
            set.await.unwrap();
        }
    }
}

#[test]
fn days_add_up_and_none_is_negative_while_the_clock_jumps() {
    let runtime = Runtime::new().unwrap();
    let (url, database) = runtime.block_on(async {
        let url = support::database().await;
        clock::install(&url).await;
        // It migrates the database.
        engine(&url).await;
        let mut database = support::connect(&url).await;
        // No commit waits for the disk: there are thousands, and no crash.
        let hurry = sqlx::raw_sql("SET synchronous_commit = off");
        hurry.execute(&mut database).await.unwrap();
        (url, database)
    });
    let database = RefCell::new(database);
    let (batches, pages) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let steps = prop::collection::vec(step(), 1..25);
    let found = TestRunner::new(config).run(&steps, |steps| {
        let mut database = database.borrow_mut();
        pages.set(pages.get() + 1);
        let page: PageName = format!("page-{}", pages.get()).parse().unwrap();
        runtime.block_on(async {
            for step in &steps {
                batches.set(batches.get() + 1);
                take(&mut database, &page, step, batches.get()).await;
                let read = history::read(&mut *database, &page).await.unwrap();
                prop_assert!(read.days.iter().all(|day| day.views >= 0), "{:?}", read);
            }
            Ok(())
        })
    });
    if let Err(found) = found {
        panic!("{found}");
    }
    runtime.block_on(async {
        let mut database = support::connect(&url).await;
        let days: Vec<_> = history::all_days(&mut database)
            .try_collect()
            .await
            .unwrap();
        assert!(days.iter().all(|(_, _, views)| *views >= 0));
        let totals: Vec<_> = history::all(&mut database).try_collect().await.unwrap();
        assert!(totals.len() > 50, "{}", totals.len());
        for (page, views, _) in totals {
            let of_page = days.iter().filter(|(name, _, _)| *name == page);
            let sum: i64 = of_page.map(|(_, _, views)| views).sum();
            // Views that `set` gave to a page without days are of no day.
            let has_days = days.iter().any(|(name, _, _)| *name == page);
            assert!(
                sum <= views && (has_days || sum == 0),
                "{page}: {sum} of {views}"
            );
        }
    });
}

/// The URL of a database whose clock [`at`] sets, and a program that uses it.
fn program_with_clock() -> (String, App) {
    let url = support::wait(async {
        let url = support::database().await;
        clock::install(&url).await;
        url
    });
    let app = App::on(&url);
    app.wait_ready();
    (url, app)
}

fn at(url: &str, time: &str) {
    support::wait(async { clock::set(&mut support::connect(url).await, time).await });
}

#[test]
fn a_clock_that_was_ahead_makes_no_day_negative() {
    let (url, app) = program_with_clock();
    let at = |time| at(&url, time);
    app.visit();
    at("2026-07-25 12:00+00");
    assert_eq!([(); 10].map(|()| app.visit()).last(), Some(&11));
    at("2026-06-15 13:00+00");
    assert_eq!([(); 3].map(|()| app.visit()).last(), Some(&14));
    let export = output(
        binary()
            .env("DATABASE_URL", &url)
            .args(["export", "--days"]),
    );
    let export = String::from_utf8(export.stdout).unwrap();
    assert_eq!(export, "page,day,views\n/,2026-06-15,1\n/,2026-07-25,13\n");
    let next = App::on(&url);
    let told = "there are views of 2026-07-25";
    eventually(told, || next.log().iter().any(|line| line.contains(told)));
    let page: Value = json::from_str(app.get("/api/pages/").as_str().unwrap()).unwrap();
    assert_eq!(
        (page["views"].as_i64(), page["today"].as_i64()),
        (Some(14), Some(1))
    );
}

#[test]
fn days_begin_in_the_time_zone_that_is_set() {
    let (url, app) = program_with_clock();
    let at = |time| at(&url, time);
    let days = || {
        let export = output(
            binary()
                .env("DATABASE_URL", &url)
                .args(["export", "--days"]),
        );
        String::from_utf8(export.stdout).unwrap()
    };
    at("2026-06-15 22:30+00");
    app.visit();
    assert!(
        app.get("/")
            .as_str()
            .unwrap()
            .contains("Views per day (UTC)")
    );
    assert_eq!(days(), "page,day,views\n/,2026-06-15,2\n");
    // In Berlin the next day has begun half an hour ago.
    let berlin = App::start(
        binary()
            .env("DATABASE_URL", &url)
            .env("ROCKET_TIME_ZONE", "Europe/Berlin"),
    );
    berlin.wait_ready();
    assert!(
        berlin
            .log()
            .iter()
            .any(|line| line.contains("Europe/Berlin")),
        "{:#?}",
        berlin.log()
    );
    // Both replicas count in it.
    app.visit();
    berlin.visit();
    assert_eq!(days(), "page,day,views\n/,2026-06-15,2\n/,2026-06-16,2\n");
    let page: Value = json::from_str(app.get("/api/pages/").as_str().unwrap()).unwrap();
    assert_eq!(page["time_zone"], "Europe/Berlin");
    assert_eq!(
        (page["views"].as_i64(), page["today"].as_i64()),
        (Some(4), Some(2))
    );
    // The template writes each slash as a reference.
    let html = berlin.get("/").as_str().unwrap().replace("&#x2f;", "/");
    for part in [
        "Views per day (Europe/Berlin)",
        r#"data-time-zone="Europe/Berlin""#,
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[test]
fn a_time_zone_that_does_not_exist_is_told_and_not_used() {
    let url = support::wait(support::database());
    let app = App::start(
        binary()
            .env("DATABASE_URL", &url)
            .env("ROCKET_TIME_ZONE", "Europe/Berln"),
    );
    eventually("the reason", || {
        app.get("/readyz").as_str().unwrap() == "misconfigured\n"
    });
    let told = "time_zone: PostgreSQL knows no Europe/Berln";
    assert!(
        app.log().iter().any(|line| line.contains(told)),
        "{:#?}",
        app.log()
    );
    assert_eq!(app.get("/").status_code, 503);
}

#[rocket::async_test]
async fn after_a_quiet_night_every_visitor_sees_the_new_day() {
    let url = support::database().await;
    clock::install(&url).await;
    let client = support::client(&url).await;
    let mut admin = support::connect(&url).await;
    clock::set(&mut admin, "2026-06-15 23:59:59.9+00").await;
    let drawn = Instant::now();
    let today = async || value(&support::page(&client).await, "today").unwrap();
    assert_eq!(today().await, 1);
    clock::set(&mut admin, "2026-06-16 08:00:00+00").await;
    // The drawing that is kept is of a day which ends in 0.1 s.
    eventually_async("the end of the day", async || {
        drawn.elapsed() > Duration::from_millis(200)
    })
    .await;
    let mut seen = soon("all visitors", join_all((0..30).map(|_| today()))).await;
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(1..=30));
}
