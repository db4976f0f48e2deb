//! The application on a real PostgreSQL: in-process, and as the real binary behind a real socket.

// Every test needs a real server.
#![cfg(feature = "private-postgres")]
// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

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
