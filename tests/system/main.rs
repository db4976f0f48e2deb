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

mod admin_commands;
mod api;
mod api_description;
mod badge;
mod command_line;
mod configuration;
mod counting;
mod error_pages;
mod exactly_once;
mod generated_requests;
mod history;
mod home;
mod hostile_requests;
mod lifecycle;
mod live_totals;
mod logs;
mod metrics;
mod outage;
mod private_postgres;
mod readiness;
mod supervision;
mod support;
mod table_size;
mod waiting_views;
mod wrong_settings;

/// The limit of every wait.
pub const SOON: Duration = Duration::from_secs(30);
