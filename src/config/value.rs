//! A setting outside the tables.

use figment::Figment;
use serde::de::DeserializeOwned;

use super::error::Error;

/// The value of `key`, if it is set.
///
/// # Errors
/// The value is wrong. `remedy` says what to set.
pub fn optional<T: DeserializeOwned>(
    figment: &Figment,
    key: &str,
    remedy: &str,
) -> Result<Option<T>, Error> {
    if !figment.contains(key) {
        return Ok(None);
    }
    let value = figment.extract_inner(key);
    value.map(Some).map_err(|error| {
        Error::new(key, error.kind.to_string())
            .with_metadata(figment.find_metadata(key))
            .with_remedy(remedy)
    })
}
