//! One entry of the setting `pages`.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::name::{InvalidPageName, PageName};

/// An entry of the setting `pages`.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// A page.
    One(PageName),
    /// All pages whose name starts with this: the empty text, or the name of a page and a slash.
    Below(String),
}

/// A text that is neither the name of a page nor a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error(transparent)]
    Name(#[from] InvalidPageName),
    #[error(
        "no pattern: a pattern is * or ends in /*, such as blog/*; a * in the name of a page is \
         written %2A"
    )]
    Star,
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    /// Reads a page in every spelling that a name has, or such a spelling and `/*`.
    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (name, is_below) = match text.strip_suffix('*') {
            None => (text, false),
            Some("") => ("/", true),
            Some(name) if name.ends_with('/') => (name, true),
            Some(_) => return Err(InvalidPattern::Star),
        };
        if name.contains('*') {
            return Err(InvalidPattern::Star);
        }
        let page: PageName = name.parse()?;
        Ok(match is_below {
            false => Self::One(page),
            true if page == PageName::home() => Self::Below(String::new()),
            true => Self::Below(format!("{page}/")),
        })
    }
}

/// What a pattern takes for its own, and what a shell or Compose reads in a quoted text.
const SPECIAL: &AsciiSet = &CONTROLS.add(b'*').add(b'\'').add(b'$');

/// As the setting `pages` reads it, and safe between single quotes.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readable = |text: &str| -> String {
            // Everything that is not ASCII stays as it is, for people.
            let encode = |c: char| match c.is_ascii() {
                true => utf8_percent_encode(c.encode_utf8(&mut [0; 4]), SPECIAL).to_string(),
                false => c.into(),
            };
            text.chars().map(encode).collect()
        };
        match self {
            Self::One(page) => f.write_str(&readable(page.as_str())),
            Self::Below(prefix) => write!(f, "{}*", readable(prefix)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_the_spellings_of_a_name() {
        for (pattern, spellings) in [
            ("*", &["/*", "//*"][..]),
            ("blog/*", &["/blog/*", "blog//*", "%62log/*"]),
            ("café/*", &["/cafe\u{301}/*", "caf%C3%A9/*"]),
            ("readme", &["/readme/"]),
            ("a%2Ab", &["/a%2ab"]),
        ] {
            for spelling in [pattern].iter().chain(spellings) {
                let parsed: Pattern = spelling.parse().unwrap();
                assert_eq!(parsed.to_string(), pattern);
            }
        }
        for (wrong, problem) in [
            ("", InvalidPattern::Name(InvalidPageName)),
            ("a b/*", InvalidPattern::Name(InvalidPageName)),
            ("blog*", InvalidPattern::Star),
            ("*/a", InvalidPattern::Star),
            ("a/*/b", InvalidPattern::Star),
            ("a/**", InvalidPattern::Star),
        ] {
            assert_eq!(wrong.parse::<Pattern>(), Err(problem), "{wrong}");
        }
    }
}
