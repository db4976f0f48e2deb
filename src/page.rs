//! Pages: their names, and which of them are counted.

mod allowed;
mod name;
mod pattern;

pub use self::allowed::{AllowedPages, Selected, Selection, UnknownPage};
pub use self::name::{InvalidPageName, PageName};
