//! The application on a real PostgreSQL: in-process, and as the real binary behind a real socket.
//!
//!     cargo test --test system                   # three minutes
//!     cargo test --test system -- --ignored      # the long proofs: ten minutes more
//!
//! The tests start a PostgreSQL server of their own, whose programs must be installed.
//! `api_description` also needs schemathesis, which `.ci/schemathesis.sh` installs below `target/`.

// Every test needs a real server of PostgreSQL.
#![cfg(feature = "private-postgres")]
// A panic fails the test, as it should.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

#[path = "../common/mod.rs"]
mod common;

mod admin_commands;
mod announcements;
mod api;
mod api_description;
mod badge;
mod badge_colors;
mod behind_nginx;
mod command_line;
mod configuration;
mod counting;
mod database_tls;
mod days;
mod durability;
mod error_pages;
mod exactly_once;
mod export;
mod failover;
mod generated_requests;
mod history;
mod home;
mod hostile_requests;
mod importing;
mod importing_live;
mod lifecycle;
mod live_limits;
mod live_totals;
mod logs;
mod merged_days;
mod metrics;
mod moving;
mod outage;
mod page_limit;
mod page_names;
mod pages;
mod pooler;
mod private_postgres;
mod readiness;
mod rejected_pages;
mod robots;
mod roles;
mod several_live_totals;
mod several_pages;
mod silent_network;
mod supervision;
mod support;
mod table_size;
mod templates;
mod uncounted_visits;
mod unlisted_pages;
mod view_limit;
mod waiting_views;
mod wrong_settings;
mod wrong_urls;

/// The limit of every wait.
pub const SOON: Duration = Duration::from_secs(30);
