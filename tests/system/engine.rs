//! Proof of the engine on the real server, broken in every way that we know. At rest, always:
//! acknowledged ≤ counted ≤ attempted, and no number twice.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pageviews::page::Page;
use pageviews::private_postgres::PrivatePostgres;
use pageviews::views::{Settings, Uncounted, Views};
use rocket::futures::future::join_all;
use rocket::tokio::{self, task::JoinHandle, time};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use crate::common::{eventually, signal};
use crate::proxy::{Cut, Proxy};
use crate::support::{self, eventually_async, soon};

const PAGES: [&str; 5] = ["/", "a", "b", "blog/2026", "z"];

/// A replica's engine, ready to count in the database at `url`.
pub async fn engine(url: &str) -> Arc<Views> {
    engine_with(Settings::default(), url).await
}

async fn engine_with(settings: Settings, url: &str) -> Arc<Views> {
    let (views, engine) = Views::new(settings);
    let options = url
        .parse::<PgConnectOptions>()
        .unwrap()
        .application_name("pageviews");
    tokio::spawn(engine.run(options, std::future::pending()));
    eventually_async("readiness", async || views.readiness().server().is_ok()).await;
    Arc::new(views)
}

/// Visitors that come back at once, and the account of what became of their visits.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Account>>,
}

/// For each page, the numbers that were acknowledged; and how many visits were not.
#[derive(Default)]
struct Account {
    numbers: BTreeMap<&'static str, Vec<i64>>,
    failed: BTreeMap<&'static str, i64>,
}

impl Load {
    /// `clients` visitors, each of whom visits all pages in turn, shared between the `replicas`.
    fn start(replicas: &[Arc<Views>], clients: usize) -> Self {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = (0..clients)
            .zip(replicas.iter().cycle())
            .map(|(client, views)| {
                let (views, stop, acknowledged) =
                    (views.clone(), stop.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    let mut account = Account::default();
                    for page in PAGES.iter().cycle().skip(client) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        match views.count(page.parse().unwrap()).await {
                            Ok(number) => {
                                account.numbers.entry(page).or_default().push(number);
                                acknowledged.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(_) => {
                                *account.failed.entry(page).or_default() += 1;
                                time::sleep(Duration::from_millis(5)).await;
                            }
                        }
                    }
                    account
                })
            });
        Self {
            stop: stop.clone(),
            acknowledged: acknowledged.clone(),
            clients: clients.collect(),
        }
    }

    /// Waits until `more` views are acknowledged.
    async fn goes_on(&self, more: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        eventually_async("views are counted again", async || {
            self.acknowledged.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// Ends the load and checks the account against the database. Returns how many failed.
    async fn add_up(self, url: &str) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Account::default();
        for account in soon("the last visits", join_all(self.clients)).await {
            let account = account.unwrap();
            for (page, numbers) in account.numbers {
                assert!(numbers.is_sorted(), "who comes back gets a later number");
                total.numbers.entry(page).or_default().extend(numbers);
            }
            for (page, failed) in account.failed {
                *total.failed.entry(page).or_default() += failed;
            }
        }
        // At rest: a batch that was given up may still be running on the server.
        settled(url).await;
        for page in PAGES {
            let numbers = total
                .numbers
                .get(page)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let failed = total.failed.get(page).copied().unwrap_or_default();
            let (acknowledged, counted) = (numbers.len() as i64, support::counted(url, page).await);
            println!(
                "{page}: acknowledged {acknowledged}, counted {counted}, attempted {}",
                acknowledged + failed
            );
            assert_eq!(
                HashSet::<_>::from_iter(numbers).len(),
                numbers.len(),
                "no number of {page} twice"
            );
            assert!(
                acknowledged <= counted && counted <= acknowledged + failed,
                "{page}"
            );
            assert!(
                numbers.iter().all(|number| (1..=counted).contains(number)),
                "{page}"
            );
        }
        let without_history = "SELECT count(*) FROM pages WHERE views > 0
             AND NOT EXISTS (SELECT FROM days WHERE days.page = pages.page AND views_before = 0)";
        let without_history: i64 = sqlx::query_scalar(without_history)
            .fetch_one(&mut support::connect(url).await)
            .await
            .unwrap();
        assert_eq!(
            without_history, 0,
            "the history of every page begins at nothing"
        );
        total.failed.values().sum()
    }
}

/// Waits until no statement runs in the database.
async fn settled(url: &str) {
    let running = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()";
    let mut admin = support::connect(url).await;
    eventually_async("the end of all statements", async || {
        let running = sqlx::query_scalar::<_, i64>(running);
        running.fetch_one(&mut admin).await.unwrap() == 0
    })
    .await;
}

#[rocket::async_test]
async fn of_256_clients_on_many_pages_each_gets_its_own_number() {
    let url = support::database().await;
    let load = Load::start(&[engine(&url).await], 256);
    load.goes_on(50_000).await;
    assert_eq!(load.add_up(&url).await, 0);
}

#[rocket::async_test]
async fn three_replicas_share_a_database_without_a_deadlock() {
    let url = support::database().await;
    let replicas = join_all([engine(&url), engine(&url), engine(&url)]).await;
    let load = Load::start(&replicas, 96);
    load.goes_on(30_000).await;
    assert_eq!(load.add_up(&url).await, 0);
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
    let load = Load::start(&replicas, 32);
    let mut admin = support::connect(&url).await;
    let mut terminated = 0;
    for _ in 0..10_000 {
        // One, both or neither, each at a random moment of its statement.
        let found = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'pageviews' AND datname = current_database() AND random() < 0.5",
        );
        terminated += found.fetch_all(&mut admin).await.unwrap().len();
        load.goes_on(1).await;
        if terminated >= 200 {
            break;
        }
    }
    assert!(terminated >= 200, "{terminated}");
    load.goes_on(100).await;
    assert_eq!(
        load.add_up(&url).await,
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

async fn killed(times: usize) {
    let server = Arc::new(PrivatePostgres::ephemeral().unwrap());
    let url = server.url("pageviews");
    let load = Load::start(&[engine(&url).await], 32);
    for _ in 0..times {
        load.goes_on(500).await;
        let server = server.clone();
        let restarted = tokio::task::spawn_blocking(move || {
            signal(server.processes().unwrap()[0], "KILL");
            eventually("the restart", || server.restart().is_ok());
        });
        soon("the restart", restarted).await.unwrap();
    }
    load.goes_on(500).await;
    assert_eq!(
        load.add_up(&url).await,
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
        assert_eq!(views.count(Page::home()).await, Ok(expected));
        let cuts = proxy.arm(cut);
        expected += 1;
        assert_eq!(views.count(Page::home()).await, Ok(expected), "{cut:?}");
        assert_eq!(proxy.cuts(), cuts + 1, "{cut:?} happened");
    }
    assert_eq!(support::counted(&url, "/").await, expected);
}

#[rocket::async_test]
async fn connections_cut_at_random_under_load_cost_no_view() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let load = Load::start(&[engine(&proxy.url).await], 64);
    for cut in Cut::ALL.repeat(20) {
        let cuts = proxy.arm(cut);
        eventually_async("the cut", async || {
            load.goes_on(1).await;
            proxy.cuts() > cuts
        })
        .await;
    }
    load.goes_on(100).await;
    assert_eq!(
        load.add_up(&url).await,
        0,
        "acknowledged = counted = attempted"
    );
}

#[rocket::async_test]
async fn a_full_disk_is_waited_for_and_then_refused() {
    let url = support::database().await;
    let proxy = Proxy::to(&url).await;
    let settings = Settings {
        deadline: NonZeroU16::new(2).unwrap(),
        ..Settings::default()
    };
    let views = engine_with(settings, &proxy.url).await;
    assert_eq!(views.count(Page::home()).await, Ok(1));
    proxy.fill_disk(true);
    assert_eq!(views.count(Page::home()).await, Err(Uncounted::Late));
    proxy.fill_disk(false);
    // The refused view was not counted: the server had said no.
    let mut number = 0;
    eventually_async("a view is counted", async || {
        let counted = views.count(Page::home()).await;
        counted.is_ok_and(|counted| {
            number = counted;
            true
        })
    })
    .await;
    assert_eq!(support::counted(&url, "/").await, number);
    assert!(number <= 3);
    // Shorter than the deadline, it costs nothing.
    proxy.fill_disk(true);
    let waiting = tokio::spawn({
        let views = views.clone();
        async move { views.count(Page::home()).await }
    });
    let refused = proxy.refusals();
    eventually_async("two attempts", async || proxy.refusals() >= refused + 2).await;
    proxy.fill_disk(false);
    let waited = soon("the view that waited", waiting).await;
    assert_eq!(waited.unwrap(), Ok(number + 1));
}

/// Locks the row of the page `/`, so that no batch with it can commit until this is [`release`]d.
async fn hold_home(url: &str) -> PgConnection {
    let mut holder = support::connect(url).await;
    let lock = sqlx::raw_sql("BEGIN; SELECT FROM pages WHERE page = '/' FOR UPDATE");
    lock.execute(&mut holder).await.unwrap();
    holder
}

async fn release(mut holder: PgConnection) {
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
}

#[rocket::async_test]
async fn a_lock_held_beyond_the_timeouts_is_waited_for() {
    let url = support::database().await;
    let views = engine(&url).await;
    sqlx::raw_sql("INSERT INTO pages VALUES ('/', 0)")
        .execute(&mut support::connect(&url).await)
        .await
        .unwrap();
    let holder = hold_home(&url).await;
    let load = Load::start(std::slice::from_ref(&views), 16);
    // When lock_timeout has passed, which is shorter than the deadline, the first batch fails.
    eventually_async("the batch fails", async || {
        views.readiness().heard().is_err()
    })
    .await;
    release(holder).await;
    load.goes_on(1_000).await;
    assert_eq!(load.add_up(&url).await, 0);
}

#[rocket::async_test]
async fn who_hangs_up_before_the_batch_was_sent_is_not_counted() {
    let url = support::database().await;
    let views = engine(&url).await;
    assert_eq!(views.count(Page::home()).await, Ok(1));
    let holder = hold_home(&url).await;
    let visit = || {
        let views = views.clone();
        tokio::spawn(async move { views.count(Page::home()).await })
    };
    // The first is sent, and waits for the lock; the others wait behind it.
    let first = visit();
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let mut admin = support::connect(&url).await;
    eventually_async("the batch waits", async || {
        let blocked = sqlx::query_scalar::<_, i64>(blocked);
        blocked.fetch_one(&mut admin).await.unwrap() > 0
    })
    .await;
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
    let settings = Settings {
        queue: NonZeroU16::new(10).unwrap(),
        ..Settings::default()
    };
    let views = engine_with(settings, &url).await;
    assert_eq!(views.count(Page::home()).await, Ok(1));
    let holder = hold_home(&url).await;
    let visits: Vec<_> = (0..100)
        .map(|_| {
            let views = views.clone();
            tokio::spawn(async move { views.count(Page::home()).await })
        })
        .collect();
    // Nobody is answered before the lock is gone, but who is refused.
    eventually_async("50 refusals", async || {
        visits.iter().filter(|visit| visit.is_finished()).count() >= 50
    })
    .await;
    release(holder).await;
    let answers = soon("the others", join_all(visits)).await;
    let answers = answers.into_iter().map(Result::unwrap);
    let (counted, refused): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
    assert!(
        refused.iter().all(|answer| *answer == Err(Uncounted::Busy)),
        "{refused:?}"
    );
    assert_eq!(support::counted(&url, "/").await, 1 + counted.len() as i64);
}

#[rocket::async_test]
async fn a_database_that_was_restored_is_counted_in_again() {
    let url = support::database().await;
    let views = engine(&url).await;
    assert_eq!(views.count(Page::home()).await, Ok(1));
    // As an older backup would have it: the writer is not known, the count is lower.
    sqlx::raw_sql("DELETE FROM writers")
        .execute(&mut support::connect(&url).await)
        .await
        .unwrap();
    assert_eq!(views.count(Page::home()).await, Ok(2));
}

#[rocket::async_test]
#[ignore = "takes minutes: cargo test --test system -- --ignored"]
async fn tables_stay_small_under_a_million_batches() {
    let url = support::database().await;
    let mut admin = support::connect(&url).await;
    let writer = uuid::Uuid::new_v4();
    drop(engine(&url).await);
    let mut connection = support::connect(&url).await;
    // The size of the tables does not depend on when the log is flushed; the time that this takes does.
    sqlx::raw_sql("SET synchronous_commit = off")
        .execute(&mut connection)
        .await
        .unwrap();
    let before: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    for number in 1..=1_000_000 {
        pageviews::views::ledger::add(&mut connection, writer, number, &["/"], &[64])
            .await
            .unwrap();
    }
    let wal: i64 =
        sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::bigint")
            .bind(before)
            .fetch_one(&mut admin)
            .await
            .unwrap();
    let sizes = "SELECT sum(pg_relation_size(c.oid))::bigint FROM pg_class c
                 WHERE relname IN ('pages', 'days', 'writers')";
    let bytes: i64 = sqlx::query_scalar(sizes)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    sqlx::query("SELECT pg_stat_clear_snapshot()")
        .execute(&mut admin)
        .await
        .unwrap();
    let hot = "SELECT min(n_tup_hot_upd::float8 / n_tup_upd) FROM pg_stat_user_tables WHERE n_tup_upd > 1000";
    let hot: f64 = sqlx::query_scalar(hot).fetch_one(&mut admin).await.unwrap();
    println!(
        "after 1 M batches: {bytes} bytes of tables, {wal} bytes of WAL, {:.2} % of updates HOT",
        100.0 * hot
    );
    assert!(bytes < 1_000_000, "{bytes}");
    assert!(hot > 0.99, "{hot}");
}
