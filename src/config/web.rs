//! What visitors may see, and whose visits count: the settings `overview`, `bots` and `limit`.

use std::num::NonZeroU32;

use figment::Figment;
use serde::Deserialize;

use super::error::Error;
use super::value::optional;

/// What visitors may see, and whose visits count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Web {
    /// Whether visitors may see which pages have the most views.
    pub overview: bool,
    /// Whether visits of programs that nobody watches count.
    pub bots: Bots,
    /// How many views per minute count for one client. `None` counts all.
    pub limit: Option<NonZeroU32>,
}

/// What happens to visits of crawlers, link previews and monitors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bots {
    /// They count.
    Count,
    /// They see the count, and add nothing to it.
    #[default]
    Ignore,
}

impl Web {
    /// Reads the settings.
    ///
    /// # Errors
    /// One of them is wrong.
    pub fn from_figment(figment: &Figment) -> Result<Self, Error> {
        let overview = optional(figment, "overview", "set it to true or false")?;
        let bots = optional(figment, "bots", "set it to count or ignore")?;
        let number = "set a whole number of views a minute, above 0";
        Ok(Self {
            overview: overview.unwrap_or_default(),
            bots: bots.unwrap_or_default(),
            limit: optional(figment, "limit", number)?,
        })
    }
}
