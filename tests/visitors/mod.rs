//! Visitors that keep coming, and the account of their visits: shared by the suites that start
//! containers.

mod client;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use self::client::{Client, Http1, request};
use crate::common::answer::number;
use crate::common::connection::Answer;

/// How long a visitor waits after a refusal. Without a pause, the visitors of a stopped cluster
/// would keep all processors busy.
pub const PAUSE: Duration = Duration::from_millis(50);

/// The account of the visits.
pub struct Visits {
    begun: Instant,
    attempted: AtomicI64,
    acknowledged: Mutex<Vec<Acknowledged>>,
    refused: Mutex<Vec<Refused>>,
}

/// A visit with a number.
struct Acknowledged {
    number: i64,
    /// The time from the first visit to the end of this one.
    at: Duration,
    took: Duration,
}

/// A visit without a number. It is kept in detail, since a race may not happen again.
struct Refused {
    /// The time from the first visit to the beginning of this one.
    at: Duration,
    took: Duration,
    why: Refusal,
}

enum Refusal {
    /// No connection was opened.
    Unsent(io::Error),
    /// The connection ended before the answer did, or the visitor's patience.
    Unanswered(io::Error),
    Answered(Answer),
}

impl Refusal {
    fn kind(&self) -> String {
        match self {
            Self::Unsent(_) => "no connection".into(),
            Self::Unanswered(_) => "no answer".into(),
            Self::Answered(answer) => answer.status.to_string(),
        }
    }

    /// Whether the visit was surely not counted: the request was not sent, or the answer says so.
    fn is_uncounted(&self) -> bool {
        match self {
            Self::Unsent(_) => true,
            Self::Unanswered(_) => false,
            Self::Answered(answer) => matches!(answer.status, 403 | 429 | 503),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:.3?}, after {:.3?}: ", self.at, self.took)?;
        match &self.why {
            Refusal::Unsent(error) | Refusal::Unanswered(error) => {
                write!(f, "{} ({error})", self.why.kind())
            }
            Refusal::Answered(answer) => f.write_str(&gist(answer)),
        }
    }
}

impl Visits {
    /// Lets this many visitors come while `meanwhile` runs. Visitor number n opens connections by
    /// `open(n)`, and keeps one as long as it lasts.
    pub fn over(
        visitors: usize,
        open: impl Fn(usize) -> io::Result<Box<dyn Client>> + Sync,
        meanwhile: impl FnOnce(&Self),
    ) -> Self {
        let visits = Self {
            begun: Instant::now(),
            attempted: AtomicI64::new(0),
            acknowledged: Mutex::default(),
            refused: Mutex::default(),
        };
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for visitor in 0..visitors {
                let (visits, open, stop) = (&visits, &open, &stop);
                scope.spawn(move || {
                    let mut kept = None;
                    while !stop.load(Ordering::Relaxed) {
                        if !visits.one(&mut kept, || open(visitor)) {
                            thread::sleep(PAUSE);
                        }
                    }
                });
            }
            finally_stop(&stop, || meanwhile(&visits));
        });
        visits
    }

    /// Visits once. Returns whether the visitor saw a number.
    fn one(
        &self,
        kept: &mut Option<Box<dyn Client>>,
        open: impl Fn() -> io::Result<Box<dyn Client>>,
    ) -> bool {
        self.attempted.fetch_add(1, Ordering::SeqCst);
        let at = self.begun.elapsed();
        let why = match kept.take().map_or_else(open, Ok) {
            Err(error) => Refusal::Unsent(error),
            Ok(mut connection) => match connection.get("/") {
                Err(error) => Refusal::Unanswered(error),
                Ok(answer) => {
                    *kept = (!answer.closes).then_some(connection);
                    match number(&answer.body).filter(|_| answer.status == 200) {
                        Some(number) => {
                            let (at, took) = (self.begun.elapsed(), self.begun.elapsed() - at);
                            let visit = Acknowledged { number, at, took };
                            self.acknowledged.lock().unwrap().push(visit);
                            return true;
                        }
                        None => Refusal::Answered(answer),
                    }
                }
            },
        };
        let took = self.begun.elapsed() - at;
        let refused = Refused { at, took, why };
        self.refused.lock().unwrap().push(refused);
        false
    }

    /// How long visitors have been coming.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// How long the visits waited that have a number, at most, and for how long nobody got one.
    pub fn longest(&self) -> (Duration, Duration) {
        let acknowledged = self.acknowledged.lock().unwrap();
        let took = acknowledged.iter().map(|visit| visit.took).max();
        let mut ends: Vec<_> = acknowledged.iter().map(|visit| visit.at).collect();
        ends.sort_unstable();
        let gap = ends.windows(2).map(|pair| pair[1] - pair[0]).max();
        (took.unwrap_or_default(), gap.unwrap_or_default())
    }

    /// The numbers that visitors saw.
    pub fn numbers(&self) -> HashSet<i64> {
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.iter().map(|visit| visit.number).collect()
    }

    /// How many of the visits may be counted.
    pub fn may_count(&self) -> RangeInclusive<i64> {
        let refused = self.refused.lock().unwrap();
        let uncounted = refused.iter().filter(|visit| visit.why.is_uncounted());
        let attempted = self.attempted.load(Ordering::SeqCst);
        self.acknowledged() as i64..=attempted - uncounted.count() as i64
    }

    /// When the visits without a number began, and how long each of them took.
    pub fn failures(&self) -> Vec<(Duration, Duration)> {
        let refused = self.refused.lock().unwrap();
        refused.iter().map(|visit| (visit.at, visit.took)).collect()
    }

    /// The visits so far without a number, one line each.
    pub fn refused(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap();
        refused.iter().map(Refused::to_string).collect()
    }

    /// Checks that acknowledged ≤ counted ≤ attempted, and that no number is there twice. A view
    /// that was surely refused does not count as an attempt. `moved` is how far the count moved
    /// meanwhile, `others` how many visits somebody else made.
    pub fn add_up(&self, moved: i64, others: RangeInclusive<i64>) {
        let (acknowledged, may_count) = (self.acknowledged(), self.may_count());
        let mut kinds = BTreeMap::<_, i64>::new();
        for refused in self.refused.lock().unwrap().iter() {
            *kinds.entry(refused.why.kind()).or_default() += 1;
        }
        println!(
            "counted {moved} with {others:?} others, and these may be {may_count:?}; \
             refused {kinds:?}"
        );
        assert!(acknowledged > 0);
        assert_eq!(self.numbers().len(), acknowledged, "no number twice");
        assert!(may_count.start() + others.start() <= moved);
        assert!(moved <= may_count.end() + others.end());
    }
}

impl Drop for Visits {
    fn drop(&mut self) {
        if thread::panicking() {
            let refused = self.refused();
            let (number, last) = (refused.len(), refused.len().saturating_sub(10));
            eprintln!(
                "{number} visits were refused, and these last: {:#?}",
                &refused[last..]
            );
        }
    }
}

/// Does `work`, and then sets `stop`, also when `work` fails: or a scope would wait for its other
/// threads for ever.
pub fn finally_stop(stop: &AtomicBool, work: impl FnOnce()) {
    let result = catch_unwind(AssertUnwindSafe(work));
    stop.store(true, Ordering::Relaxed);
    result.unwrap_or_else(|cause| resume_unwind(cause));
}

/// The answer in one line. Its heading and its advice distinguish the app's refusals from Caddy's.
fn gist(answer: &Answer) -> String {
    let body = answer.body.as_str();
    let between = |open, close| Some(body.split_once(open)?.1.split_once(close)?.0);
    format!(
        "{} {:?} {:?}",
        answer.status,
        between("<h1>", "</h1>").unwrap_or(body),
        between("<p>", "</p>").unwrap_or_default(),
    )
}
