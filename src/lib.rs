//! A page-view counter: every visitor gets an exact, unique number that is durable before it is
//! shown.
//!
//! The modules are layers, from the top to the bottom. A module imports only what stands below it,
//! and `tests/layers.rs` keeps it so. Follow a view: `web/home.rs`, `counter.rs`,
//! `counter/engine.rs`, `counter/ledger.rs`. `ARCHITECTURE.md` is the map.

pub mod cli;

pub mod web;

pub mod counter;

pub mod database;

pub mod config;

// The leaves import nothing of ours.
mod client;
pub mod logging;
pub mod metrics;
pub mod number;
pub mod page;
mod recent;

use std::sync::Arc;

use rocket::{Build, Rocket};

use self::config::Config;
use self::metrics::Metrics;

/// In the library, so that the benchmark's peers get it too. It serves a seventh more views than
/// the allocator of glibc: see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The whole application, ready for launch.
///
/// # Errors
/// No database is configured.
pub fn rocket(config: &Config) -> Result<Rocket<Build>, config::Error> {
    let database = config.database()?;
    let metrics = Arc::new(Metrics::new().expect("valid and unique names"));
    Ok(rocket::custom(config.figment())
        .attach(database::stage(database))
        .attach(counter::stage(config, database, metrics.clone()))
        .attach(web::stage(config.web, metrics)))
}
