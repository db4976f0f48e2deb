//! Visitors that keep coming, and the account of what became of each visit.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use crate::compose::{Cluster, number};

/// What the visitors saw.
#[derive(Default)]
pub struct Visits {
    attempted: AtomicI64,
    acknowledged: Mutex<Vec<i64>>,
    refused: AtomicI64,
}

impl Visits {
    /// Lets visitors come through Caddy for as long as `meanwhile` runs.
    pub fn during(cluster: &Cluster, meanwhile: impl FnOnce(&Visits)) -> Self {
        let (visits, stop) = (Self::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        visits.one(cluster);
                    }
                });
            }
            // Stop the visitors also when this fails, or the scope would wait for them for ever.
            let result =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| meanwhile(&visits)));
            stop.store(true, Ordering::Relaxed);
            result.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        });
        visits
    }

    fn one(&self, cluster: &Cluster) {
        self.attempted.fetch_add(1, Ordering::SeqCst);
        let answer = minreq::get(cluster.url("/")).with_timeout(20).send();
        match answer.as_ref().ok().and_then(number) {
            Some(number) => self.acknowledged.lock().unwrap().push(number),
            None => {
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub fn refused(&self) -> i64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// At rest: acknowledged ≤ counted ≤ attempted, and no number twice. `moved` is how far the count moved
    /// in the meantime, `others` how often somebody else was seen to visit.
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
