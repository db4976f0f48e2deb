//! The bounds of what a replica holds at once: the tables `views` and `live`.

use std::num::NonZeroU16;

use serde::Deserialize;

/// How many views may wait for their commit, and how long: the table `views`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Seconds that a view may wait, such as while the database restarts or another one takes over.
    pub deadline: NonZeroU16,
    /// Views that may wait. One more is refused at once.
    pub queue: NonZeroU16,
}

impl Default for Limits {
    fn default() -> Self {
        const {
            Self {
                deadline: NonZeroU16::new(6).unwrap(),
                queue: NonZeroU16::new(2_000).unwrap(),
            }
        }
    }
}

/// How many live streams may be open: the table `live`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveLimits {
    /// Open streams of this replica.
    pub streams: NonZeroU16,
    /// Open streams of one client.
    pub streams_per_client: NonZeroU16,
}

impl Default for LiveLimits {
    fn default() -> Self {
        const {
            Self {
                streams: NonZeroU16::new(1_000).unwrap(),
                streams_per_client: NonZeroU16::new(100).unwrap(),
            }
        }
    }
}
