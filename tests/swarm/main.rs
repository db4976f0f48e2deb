//! The cluster on three machines: Docker Swarm on nodes that are namespaces of this machine, each
//! with a Docker of its own. Nodes lose their power and their network while visitors come.
//!
//!     cargo test --test swarm -- --ignored --nocapture      # all of them: some ten minutes
//!
//! The tests need root, iproute2 and Docker's own programs, and they build the images.

// A panic fails the test, as it should.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

mod app;
// The other suites use more of it.
#[allow(dead_code, unused_imports)]
#[path = "../common/mod.rs"]
mod common;
mod database;
mod lost_nodes;
mod networks;
mod nodes;
mod stack;
mod updates;
mod visited;
#[allow(dead_code, unused_imports)]
#[path = "../visitors/mod.rs"]
mod visitors;
mod without_standbys;

/// The limit of every wait: a stack takes a while to be whole again.
const SOON: Duration = Duration::from_secs(180);
