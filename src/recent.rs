//! Answers that cost too much to be found for each visitor.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rocket::tokio::sync::Mutex;

/// The last value of each key that was asked for. One visitor at a time finds a new one, while the
/// others wait. Keys are never forgotten, so there must be few.
pub struct Recent<K, V> {
    max_age: Duration,
    values: Mutex<BTreeMap<K, (Instant, V)>>,
}

impl<K: Ord, V: Clone> Recent<K, V> {
    /// No values yet. Each one may become as old as `max_age`.
    pub fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            values: Mutex::default(),
        }
    }

    /// The value of `key`, found with `find` if the last one is too old.
    ///
    /// # Errors
    /// `find` failed. The next visitor tries again.
    pub async fn get<E>(&self, key: K, find: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let mut values = self.values.lock().await;
        if let Some((found_at, value)) = values.get(&key)
            && found_at.elapsed() < self.max_age
        {
            return Ok(value.clone());
        }
        let found_at = Instant::now();
        let value = find.await?;
        values.insert(key, (found_at, value.clone()));
        Ok(value)
    }
}
