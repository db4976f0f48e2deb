//! Waiting that ends.

use std::thread;
use std::time::{Duration, Instant};

use crate::SOON;

/// Waits until `condition` holds. Panics after `SOON`.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < give_up, "waited {SOON:?} in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
