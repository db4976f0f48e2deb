//! Answers that cost too much to be found for each visitor.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rocket::tokio::spawn;
use rocket::tokio::sync::watch;

/// The last answer to each question, for all who ask within a while. Questions are never
/// forgotten, so there must be few.
pub struct Recent<K, V> {
    max_age: Duration,
    searches: Mutex<BTreeMap<K, Search<V>>>,
}

/// A search for an answer, which may go on.
struct Search<V> {
    begun: Instant,
    /// `None` while the search goes on. Then the answer, or `None` if there is none.
    answer: watch::Receiver<Option<Option<V>>>,
}

impl<V> Search<V> {
    fn goes_on(&self) -> bool {
        self.answer.borrow().is_none() && self.answer.has_changed().is_ok()
    }
}

impl<K: Ord, V: Clone + Send + Sync + 'static> Recent<K, V> {
    /// No answers yet. An answer may become as old as `max_age`, from the begin of its search.
    pub fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            searches: Mutex::default(),
        }
    }

    /// The answer to `key`, or `None` if there is none. `find` searches for a new one if the last
    /// search was too long ago. All who ask meanwhile wait for the same search. Nobody who leaves
    /// ends it, so `find` has to limit its time.
    pub async fn get<F>(&self, key: K, find: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = Option<V>> + Send + 'static,
    {
        let mut answer = self.search(key, find);
        let found = answer.wait_for(Option::is_some).await;
        found.ok()?.clone().flatten()
    }

    fn search<F>(&self, key: K, find: impl FnOnce() -> F) -> watch::Receiver<Option<Option<V>>>
    where
        F: Future<Output = Option<V>> + Send + 'static,
    {
        let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = searches.get(&key)
            && (last.begun.elapsed() < self.max_age || last.goes_on())
        {
            return last.answer.clone();
        }
        let (found, answer) = watch::channel(None);
        let search = Search {
            begun: Instant::now(),
            answer: answer.clone(),
        };
        searches.insert(key, search);
        let find = find();
        spawn(async move { found.send_replace(Some(find.await)) });
        answer
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rocket::async_test;
    use rocket::futures::future::join_all;
    use rocket::tokio::join;
    use rocket::tokio::sync::Notify;
    use rocket::tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[async_test]
    async fn all_who_ask_share_a_search_and_nobody_ends_it() {
        let recent = Recent::new(Duration::ZERO);
        let (searches, release) = (AtomicU32::new(0), Arc::new(Notify::new()));
        let ask = || {
            recent.get("page", || {
                searches.fetch_add(1, Ordering::Relaxed);
                let release = release.clone();
                async move {
                    release.notified().await;
                    Some(7)
                }
            })
        };
        // Each of them leaves, one after the other.
        for _ in 0..5 {
            assert!(timeout(Duration::from_millis(1), ask()).await.is_err());
        }
        // Another question does not wait for this one.
        assert_eq!(recent.get("other", async || Some(8)).await, Some(8));
        // All of them ask before the search ends: otherwise a second one would begin.
        let asked = join_all([ask(), ask(), ask()]);
        let (answers, ()) = join!(asked, async { release.notify_one() });
        assert_eq!(answers, [Some(7); 3]);
        assert_eq!(searches.load(Ordering::Relaxed), 1);
    }

    #[async_test]
    async fn a_failure_is_remembered_as_an_answer_is() {
        let recent = Recent::new(LONG);
        assert_eq!(recent.get(1, async || None).await, None);
        assert_eq!(recent.get(1, async || Some(1)).await, None);
        assert_eq!(recent.get(2, async || Some(2)).await, Some(2));
        let recent = Recent::new(Duration::ZERO);
        assert_eq!(recent.get(1, async || None).await, None);
        assert_eq!(recent.get(1, async || Some(1)).await, Some(1));
        assert_eq!(recent.get(1, async || Some(2)).await, Some(2));
    }

    #[async_test]
    async fn a_search_that_panics_is_none() {
        let recent: Recent<_, i64> = Recent::new(Duration::ZERO);
        assert_eq!(recent.get(1, async || panic!("as a test")).await, None);
        assert_eq!(recent.get(1, async || Some(1)).await, Some(1));
    }
}
