//! What both suites share: bounded waiting, what an answer holds, hostile and random requests,
//! streams, and child processes.
//!
//! Each suite defines `crate::SOON`, the limit of every wait.

pub mod answer;
pub mod connection;
pub mod generated;
pub mod hostile;
pub mod nginx;
pub mod process;
pub mod skip;
mod stream;
mod wait;

pub use answer::header;
pub use process::{Lines, Supervised, signal};
pub use skip::or_skip;
pub use stream::Stream;
pub use wait::eventually;
