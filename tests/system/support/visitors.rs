//! Visitors of the engine, and the account of their visits. Once all have left:
//! acknowledged ≤ counted ≤ attempted, and no number twice.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rocket::futures::future::join_all;
use rocket::tokio::{self, task::JoinHandle, time};

use super::engine::Counter;
use super::{eventually_async, soon};
use crate::support;

const PAGES: [&str; 5] = ["/", "a", "b", "blog/2026", "z"];

/// Visitors that visit one page after the other without a pause, and the account of their visits.
pub struct Visitors {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Account>>,
}

/// For each page, the numbers of the acknowledged visits, and how many visits failed.
#[derive(Default)]
struct Account {
    numbers: BTreeMap<&'static str, Vec<i64>>,
    failed: BTreeMap<&'static str, i64>,
}

impl Visitors {
    /// Starts `clients` visitors, spread over the `replicas`. Each visits all pages in turn.
    pub fn start(replicas: &[Arc<Counter>], clients: usize) -> Self {
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
    pub async fn go_on(&self, more: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        eventually_async("views are counted again", async || {
            self.acknowledged.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// Stops the visitors and checks the account against the database. Returns how many visits
    /// failed.
    pub async fn add_up(self, url: &str) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Account::default();
        for account in soon("the last visits", join_all(self.clients)).await {
            let account = account.unwrap();
            for (page, numbers) in account.numbers {
                assert!(numbers.is_sorted(), "a later visit has a later number");
                total.numbers.entry(page).or_default().extend(numbers);
            }
            for (page, failed) in account.failed {
                *total.failed.entry(page).or_default() += failed;
            }
        }
        // A batch that the engine gave up may still run on the server.
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
                   WHERE datname = current_database() AND state = 'active'
                   AND pid <> pg_backend_pid()";
    let mut admin = support::connect(url).await;
    eventually_async("the end of all statements", async || {
        let running = sqlx::query_scalar::<_, i64>(running);
        running.fetch_one(&mut admin).await.unwrap() == 0
    })
    .await;
}
