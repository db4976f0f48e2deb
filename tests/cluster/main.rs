//! The cluster as it ships: real containers, started by docker-compose, visited through Caddy, broken on purpose.
//!
//!     cargo test --test cluster -- --ignored
//!
//! Ignored by default, because it needs Docker and takes minutes. COMPOSE="docker compose" chooses Compose v2.

// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

#[path = "../common/mod.rs"]
mod common;

mod appearance;
mod browser;
mod caddy;
mod chromium;
mod compose;
mod crashes;
mod embedding;
mod hardening;
mod https;
mod live_totals;
mod running;
mod settings;
mod visitors;

/// The limit of every wait, on a machine that is busy building.
pub const SOON: Duration = Duration::from_secs(90);
