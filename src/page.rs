//! Pages: their names, and which of them are counted.

mod allowed;
mod name;

pub use self::allowed::{AllowedPages, UnknownPage};
pub use self::name::{InvalidPageName, PageName};
