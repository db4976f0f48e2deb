//! A page-view counter: every visitor gets an exact, unique number that is durable before it is shown.
//!
//! This file is the table of contents; `ARCHITECTURE.md` is the map.

pub mod admin;
pub mod answers;
pub mod api;
pub mod badge;
pub mod check;
pub mod cli;
pub mod config;
pub mod database;
pub mod drawing;
pub mod errors;
pub mod health;
pub mod home;
pub mod live;
pub mod logging;
pub mod methods;
pub mod metrics;
pub mod page;
#[cfg(feature = "private-postgres")]
pub mod private_postgres;
pub mod templates;
pub mod views;
pub mod visit;

use rocket::{Build, Rocket};
use rocket_db_pools::Database;

/// In the library, so that the benchmark's peers get it too. It serves a seventh more views than glibc's; see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The whole application, ready for launch.
pub fn rocket(config: &config::Config) -> Rocket<Build> {
    rocket::custom(&config.figment)
        .attach(database::Db::init())
        .attach(views::stage())
        .attach(templates::stage())
        .attach(page::stage())
        .attach(home::stage())
        .attach(live::stage())
        .attach(badge::stage())
        .attach(api::stage())
        .attach(health::stage())
        .attach(metrics::stage())
        .attach(errors::stage())
        .attach(answers::stage())
}
