//! How many views per minute count for one client.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::client::Client;

/// How many clients are remembered. Each takes up to 64 bytes.
const MAX_CLIENTS: usize = 100_000;

/// How often clients whose views are long ago are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The same if there are too many clients.
const HASTY_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Remembers the views of the last minute, but no address: a client is a hash under a key that
/// only this process knows, and only while it runs.
pub struct Limiter {
    views: RateLimiter<u64, HashMapStateStore<u64>, DefaultClock>,
    hasher: RandomState,
    swept: Mutex<Instant>,
    max_clients: usize,
}

impl Limiter {
    /// Every client may have so many views a minute.
    pub fn new(views_per_minute: NonZeroU32) -> Self {
        Self {
            views: RateLimiter::hashmap(Quota::per_minute(views_per_minute)),
            hasher: RandomState::new(),
            swept: Mutex::new(Instant::now()),
            max_clients: MAX_CLIENTS,
        }
    }

    /// Whether one more view of `client` counts. If too many clients have had views lately, those
    /// of all clients do, because memory is limited.
    pub fn admits(&self, client: Client) -> bool {
        self.sweep();
        if self.views.len() >= self.max_clients {
            return true;
        }
        self.views.check_key(&self.hasher.hash_one(client)).is_ok()
    }

    /// Forgets clients whose views are long ago, from time to time.
    fn sweep(&self) {
        let interval = match self.views.len() < self.max_clients {
            true => SWEEP_INTERVAL,
            false => HASTY_SWEEP_INTERVAL,
        };
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() >= interval {
            *swept = Instant::now();
            drop(swept);
            self.views.retain_recent();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn memory_is_bounded_and_then_nobody_is_limited() {
        let mut limiter = Limiter::new(NonZeroU32::new(1).unwrap());
        limiter.max_clients = 100;
        let client = |bits| Client::from(IpAddr::from(Ipv4Addr::from_bits(bits)));
        let (first, last) = (client(1), client(10_000));
        assert!(limiter.admits(first) && !limiter.admits(first));
        assert!((2..=10_000).all(|bits| limiter.admits(client(bits))));
        assert!(limiter.admits(first) && limiter.admits(last) && limiter.admits(last));
        assert!(limiter.views.len() <= 100);
    }
}
