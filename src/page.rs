//! The name of a page, and which pages are counted.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

/// How many bytes the name of a page may have.
pub const MAX_LENGTH: usize = 200;

/// The name of a page: `/`, or segments of unreserved characters (RFC 3986, section 2.3) with
/// single slashes between them, such as `blog/first-post`.
///
/// A name means the same in a URL, in XML, in CSV, in SQL and in a log: nothing has to be escaped.
/// Cheap to clone. Ordered by bytes, as the database orders it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageName(Arc<str>);

/// A text that cannot be the name of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a page: a name is /, or up to {} letters, digits, - . _ ~ with single / \
     between them",
    MAX_LENGTH
)]
pub struct InvalidPageName;

impl PageName {
    /// The page `/`.
    pub fn home() -> Self {
        static HOME: LazyLock<PageName> = LazyLock::new(|| PageName("/".into()));
        HOME.clone()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The page that the segments of a URL's path name; no segment at all is `/`.
    ///
    /// A segment may contain a slash: clients that fill in a URL template have to encode slashes.
    ///
    /// # Errors
    /// The segments do not form the name of a page.
    pub fn from_segments(segments: &[&str]) -> Result<Self, InvalidPageName> {
        match segments {
            [] => Ok(Self::home()),
            segments => segments.join("/").parse(),
        }
    }
}

/// `.` and `..` are no segments, because clients resolve them before they send a request.
fn is_segment(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(unreserved)
}

impl FromStr for PageName {
    type Err = InvalidPageName;

    fn from_str(name: &str) -> Result<Self, InvalidPageName> {
        if name == "/" {
            Ok(Self::home())
        } else if name.len() <= MAX_LENGTH && name.split('/').all(is_segment) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidPageName)
        }
    }
}

impl fmt::Display for PageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The pages that are counted: `/`, and those that the setting `pages` names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct AllowedPages(Vec<Pattern>);

/// The name of a page that is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("No page of this name is counted here. Nothing was counted.")]
pub struct UnknownPage;

/// An entry of the setting `pages` that is neither a page nor a pattern.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is {1}")]
pub struct InvalidPattern(String, InvalidPageName);

#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    One(PageName),
    /// All pages whose name starts with this: the empty text, or the name of a page and a slash.
    Below(String),
}

impl FromStr for Pattern {
    type Err = InvalidPageName;

    fn from_str(text: &str) -> Result<Self, InvalidPageName> {
        match text.strip_suffix('*') {
            None => text.parse().map(Self::One),
            Some("") => Ok(Self::Below(String::new())),
            Some(below) => {
                let page: PageName = below.strip_suffix('/').ok_or(InvalidPageName)?.parse()?;
                Ok(Self::Below(format!("{page}/")))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(page) => write!(f, "{page}"),
            Self::Below(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl TryFrom<Vec<String>> for AllowedPages {
    type Error = InvalidPattern;

    fn try_from(entries: Vec<String>) -> Result<Self, InvalidPattern> {
        let parse = |entry: String| entry.parse().map_err(|error| InvalidPattern(entry, error));
        entries
            .into_iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl AllowedPages {
    /// `page`, if it is the name of a counted page.
    ///
    /// # Errors
    /// `page` is absent because the text was no name, or it is not counted.
    pub fn check(&self, page: Option<PageName>) -> Result<PageName, UnknownPage> {
        page.filter(|page| self.contains(page)).ok_or(UnknownPage)
    }

    /// Whether `page` is counted.
    pub fn contains(&self, page: &PageName) -> bool {
        page.as_str() == "/"
            || self.0.iter().any(|pattern| match pattern {
                Pattern::One(one) => one == page,
                Pattern::Below(prefix) => page.as_str().starts_with(prefix.as_str()),
            })
    }

    /// The patterns as the owner wrote them, after `/`, which is always counted.
    pub fn patterns(&self) -> Vec<String> {
        let configured = self
            .0
            .iter()
            .map(Pattern::to_string)
            .filter(|pattern| pattern != "/");
        std::iter::once("/".to_string()).chain(configured).collect()
    }

    /// The value of the setting `pages` that counts `page` too, such as `["readme", "blog/*"]`.
    pub fn setting_with(&self, page: &PageName) -> String {
        let mut entries: Vec<_> = self.0.iter().map(Pattern::to_string).collect();
        entries.push(page.to_string());
        format!("{entries:?}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        for name in [
            "/",
            "readme",
            "blog/first-post",
            "a.b~c_d-E9",
            "...",
            "a/..b",
        ] {
            assert_eq!(name.parse::<PageName>().unwrap().as_str(), name);
        }
        let longest = "a".repeat(MAX_LENGTH);
        assert!(longest.parse::<PageName>().is_ok());
        let wrong = [
            "", "//", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a b", "a%20b", "é", "a\0",
            "a\n", "<a>", "a&b", "a\"", "a*", "-+",
        ];
        for name in wrong.map(String::from).into_iter().chain([longest + "a"]) {
            assert_eq!(name.parse::<PageName>(), Err(InvalidPageName), "{name:?}");
        }
    }

    #[test]
    fn a_url_names_a_page() {
        let home: [&[&str]; 2] = [&[], &["/"]];
        for segments in home {
            assert_eq!(PageName::from_segments(segments), Ok(PageName::home()));
        }
        let encoded: [&[&str]; 2] = [&["a", "b"], &["a/b"]];
        for segments in encoded {
            assert_eq!(PageName::from_segments(segments), "a/b".parse());
        }
        let wrong: [&[&str]; 4] = [&["a", ""], &["..", "a"], &["a/../b"], &["/", "a"]];
        for segments in wrong {
            assert_eq!(
                PageName::from_segments(segments),
                Err(InvalidPageName),
                "{segments:?}"
            );
        }
    }

    #[test]
    fn closed_by_default_but_for_home() {
        let counted = |patterns: &[&str], page: &str| {
            let patterns = patterns.iter().map(|text| text.parse().unwrap());
            AllowedPages(patterns.collect()).contains(&page.parse().unwrap())
        };
        assert!(counted(&[], "/"));
        assert!(!counted(&[], "readme"));
        assert!(counted(&["readme", "blog/*"], "readme"));
        assert!(counted(&["blog/*"], "blog/a") && counted(&["blog/*"], "blog/a/b"));
        assert!(!counted(&["blog/*"], "blog") && !counted(&["blog/*"], "blogs/a"));
        assert!(counted(&["*"], "any/thing"));
        for wrong in ["", "blog*", "*/a", "a/*/b", "/*", "a/**", "a b/*"] {
            assert_eq!(
                wrong.parse::<Pattern>().unwrap_err(),
                InvalidPageName,
                "{wrong}"
            );
        }
    }
}
