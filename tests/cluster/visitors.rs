//! Visitors that keep coming, and the account of their visits.

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::header;
use crate::compose::{Cluster, number};

/// The account of the visits.
pub struct Visits {
    begun: Instant,
    attempted: AtomicI64,
    acknowledged: Mutex<Vec<i64>>,
    refused: Mutex<Vec<Refused>>,
}

/// A visit without a number. It is kept in detail, since a race may not happen again.
pub struct Refused {
    /// The time from the first visit to the beginning of this one.
    at: Duration,
    took: Duration,
    saw: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at {:.3?}, after {:.3?}: {}",
            self.at, self.took, self.saw
        )
    }
}

impl Visits {
    /// Lets visitors come through Caddy while `meanwhile` runs.
    pub fn during(cluster: &Cluster, meanwhile: impl FnOnce(&Visits)) -> Self {
        let visits = Self {
            begun: Instant::now(),
            attempted: AtomicI64::new(0),
            acknowledged: Mutex::default(),
            refused: Mutex::default(),
        };
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        visits.one(cluster);
                    }
                });
            }
            // If this fails, the visitors must stop too, or the scope would wait for them for ever.
            let result =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| meanwhile(&visits)));
            stop.store(true, Ordering::Relaxed);
            result.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        });
        visits
    }

    fn one(&self, cluster: &Cluster) {
        self.attempted.fetch_add(1, Ordering::SeqCst);
        let at = self.begun.elapsed();
        let answer = minreq::get(cluster.url("/")).with_timeout(20).send();
        match answer.as_ref().ok().and_then(number) {
            Some(number) => self.acknowledged.lock().unwrap().push(number),
            None => self.refused.lock().unwrap().push(Refused {
                at,
                took: self.begun.elapsed() - at,
                saw: answer.map_or_else(|e| format!("{e:?}"), |answer| gist(&answer)),
            }),
        }
    }

    /// How long visitors have been coming.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// The visits so far without a number, one line each.
    pub fn refused(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap();
        refused.iter().map(Refused::to_string).collect()
    }

    /// Checks that acknowledged ≤ counted ≤ attempted, and that no number is there twice. `moved`
    /// is how far the count moved meanwhile, `others` how many visits somebody else made.
    pub fn add_up(&self, moved: i64, others: RangeInclusive<i64>) {
        let acknowledged = self.acknowledged.lock().unwrap();
        let attempted = self.attempted.load(Ordering::SeqCst);
        let distinct: HashSet<_> = acknowledged.iter().collect();
        println!(
            "acknowledged {}, counted {moved} with {others:?} others, attempted {attempted}",
            acknowledged.len()
        );
        assert!(!acknowledged.is_empty());
        assert_eq!(distinct.len(), acknowledged.len(), "no number twice");
        assert!(
            acknowledged.len() as i64 + others.start() <= moved
                && moved <= attempted + others.end()
        );
    }
}

/// The answer in one line. Its heading and its advice distinguish the app's refusals from Caddy's.
fn gist(answer: &minreq::Response) -> String {
    let body = answer.as_str().unwrap_or("not text");
    let between = |open, close| Some(body.split_once(open)?.1.split_once(close)?.0);
    format!(
        "{} {:?} {:?}, Retry-After {:?}",
        answer.status_code,
        between("<h1>", "</h1>").unwrap_or(body),
        between("<p>", "</p>").unwrap_or_default(),
        header(answer, "retry-after")
    )
}
