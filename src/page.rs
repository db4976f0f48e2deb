//! The name of a page that is counted.

use std::fmt;
use std::sync::{Arc, LazyLock};

/// A page's name. Cheap to clone; ordered by bytes, as the database orders it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page(Arc<str>);

impl Page {
    /// The page `/`.
    pub fn home() -> Self {
        static HOME: LazyLock<Page> = LazyLock::new(|| Page("/".into()));
        HOME.clone()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Page {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
