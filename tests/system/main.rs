//! The application on a real PostgreSQL: in-process, and as the real binary behind a real socket.
//!
//!     cargo test --test system                    # a few minutes
//!     cargo test --test system -- --ignored       # the long proofs, and what needs other tools
//!
//! PostgreSQL's programs must be installed. The tests start a server of their own with them.

// Every test needs a real server.
#![cfg(feature = "private-postgres")]
// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

#[path = "../common/mod.rs"]
mod common;

mod admin;
mod api;
mod badge;
mod binary;
mod configuration;
mod description;
mod engine;
mod generated;
mod history;
mod hostile;
mod live;
mod model;
mod operating;
mod outage;
mod page;
mod private;
mod proxy;
mod support;

/// The limit of every wait.
pub const SOON: Duration = Duration::from_secs(30);
