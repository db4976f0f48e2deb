//! The cluster as it ships: real containers that docker-compose starts, visited through Caddy and
//! broken on purpose.
//!
//!     cargo test --test cluster -- --ignored                      # all of them: many minutes
//!     cargo test --test cluster -- --ignored running              # one file
//!     COMPOSE="docker compose" cargo test --test cluster -- --ignored      # with Compose v2
//!
//! The tests need Docker, so they are ignored by default. `browser` also needs Chromium,
//! chromedriver, and axe below `target/`. It says what it skips; with `CI` set it fails instead.

// A panic fails the test, as it should.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

#[path = "../common/mod.rs"]
mod common;
// The suite of several machines uses more of it.
#[allow(dead_code)]
#[path = "../visitors/mod.rs"]
mod visitors;

mod appearance;
mod backups;
mod behind_proxy;
mod browser;
mod caddy;
mod chromium;
mod client;
mod compose;
mod crashes;
mod degraded;
mod docker;
mod documents;
mod embed_conditions;
mod embed_script;
mod embedding;
mod generated_requests;
mod hardening;
mod hostile_requests;
mod http2;
mod https;
mod isolation;
mod live_totals;
mod moving;
mod privacy;
mod quiet_network;
mod roles;
mod running;
mod settings;
mod single_page;
mod site;
mod slow_clients;
mod speculation;
mod uncounted_visits;
mod without_scripts;

/// The limit of every wait, on a machine that is busy building.
pub const SOON: Duration = Duration::from_secs(90);
