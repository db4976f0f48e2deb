//! Tests that a machine cannot run say so where nobody can miss it.

use std::io::{self, Write};

/// Says that `what` is not proven here, and why.
pub fn skipped(what: &str, why: &str) {
    // Not eprintln!, whose output `cargo test` shows only for tests that fail.
    let _ = writeln!(io::stderr(), "\n*** SKIPPED: {what}: {why}\n");
}

/// What a test needs and a machine may lack. With `CI` set, a lack is a failure.
pub fn or_skip<T>(what: &str, found: Result<T, String>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{what}: {why}");
            skipped(what, &why);
            None
        }
    }
}
