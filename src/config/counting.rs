//! What is counted as what: the settings `page_limit` and `time_zone`.

use std::fmt;
use std::num::NonZeroU32;

use figment::Figment;
use serde::Deserialize;

use super::error::Error;
use super::value::optional;

/// How many pages there may be, and when a day begins.
#[derive(Clone, Debug)]
pub struct Counting {
    /// How many pages the database may have. Views of one more are refused.
    pub page_limit: NonZeroU32,
    /// The time zone in which days begin. `None` leaves it as the database has it.
    pub time_zone: Option<TimeZone>,
}

impl Default for Counting {
    fn default() -> Self {
        const {
            Self {
                page_limit: NonZeroU32::new(100_000).unwrap(),
                time_zone: None,
            }
        }
    }
}

impl Counting {
    /// Reads the settings.
    ///
    /// # Errors
    /// One of them is wrong.
    pub fn from_figment(figment: &Figment) -> Result<Self, Error> {
        let page_limit = optional(figment, "page_limit", "set a whole number above 0")?;
        let zone = "set a name such as Europe/Berlin or UTC";
        Ok(Self {
            page_limit: page_limit.unwrap_or(Self::default().page_limit),
            time_zone: optional(figment, "time_zone", zone)?,
        })
    }
}

/// A text of the form that names of time zones have. Only the database knows all names.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeZone(String);

/// A text that cannot be the name of a time zone.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the name of a time zone")]
pub struct InvalidTimeZone(String);

impl TimeZone {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TimeZone {
    type Error = InvalidTimeZone;

    fn try_from(name: String) -> Result<Self, InvalidTimeZone> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
        match name.bytes().all(is_allowed) && name.starts_with(|c: char| c.is_ascii_uppercase()) {
            true => Ok(Self(name)),
            false => Err(InvalidTimeZone(name)),
        }
    }
}
