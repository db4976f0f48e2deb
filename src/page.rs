//! The name of a page, and which pages are counted.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use figment::Figment;
use rocket::fairing::AdHoc;
use rocket::http::uri::Segments;
use rocket::http::uri::fmt::Path;
use rocket::request::FromSegments;

use crate::config;

/// How many bytes a name may have.
pub const LONGEST: usize = 200;

/// A page's name: `/`, or segments of unreserved characters (RFC 3986, section 2.3) with a `/` between them, such as
/// `blog/first-post`. So a page has one name, and that means the same in a URL, in XML, in CSV and in a log. Cheap to
/// clone; ordered by bytes, as the database orders it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page(Arc<str>);

/// Not the name of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPage;

impl fmt::Display for NotAPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not the name of a page: it is /, or has up to {LONGEST} letters, digits, - . _ ~ and single / between them"
        )
    }
}

impl std::error::Error for NotAPage {}

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

    /// The page that the segments of a URL's path name; without any, it is `/`. An encoded slash is one like any other,
    /// because clients that fill in a template of a URL have to encode it.
    ///
    /// # Errors
    /// They name none.
    pub fn of_segments(segments: &[&str]) -> Result<Self, NotAPage> {
        match segments {
            [] => Ok(Self::home()),
            segments => segments.join("/").parse(),
        }
    }
}

/// Not `.` or `..`, which clients remove from a URL before they ask.
fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

impl FromStr for Page {
    type Err = NotAPage;

    fn from_str(name: &str) -> Result<Self, NotAPage> {
        if name == "/" {
            Ok(Self::home())
        } else if name.len() <= LONGEST && name.split('/').all(is_segment) {
            Ok(Self(name.into()))
        } else {
            Err(NotAPage)
        }
    }
}

impl<'r> FromSegments<'r> for Page {
    type Error = NotAPage;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, NotAPage> {
        Self::of_segments(&segments.collect::<Vec<_>>())
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The pages that are counted: `/`, and those that `pages` in the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Pages(Vec<Pattern>);

/// No page that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCounted;

#[derive(Clone, Debug)]
enum Pattern {
    One(Page),
    /// Every page whose name begins so: empty, or a page's name and a slash.
    Below(String),
}

impl FromStr for Pattern {
    type Err = NotAPage;

    fn from_str(text: &str) -> Result<Self, NotAPage> {
        match text.strip_suffix('*') {
            None => text.parse().map(Self::One),
            Some("") => Ok(Self::Below(String::new())),
            Some(below) => {
                let page: Page = below.strip_suffix('/').ok_or(NotAPage)?.parse()?;
                Ok(Self::Below(format!("{page}/")))
            }
        }
    }
}

impl Pages {
    /// What `figment` says.
    ///
    /// # Errors
    /// `pages` is not a list, or something in it is no page.
    pub fn of(figment: &Figment) -> Result<Self, config::Error> {
        const CURE: &str = r#"write it as ["readme", "blog/*"]"#;
        if !figment.contains("pages") {
            return Ok(Self::default());
        }
        let names: Vec<String> = figment
            .extract_inner("pages")
            .map_err(|e| config::Error::of(&e, "").cure(CURE))?;
        let patterns = names.iter().map(|name| {
            name.parse().map_err(|problem| {
                config::Error::new("pages", format!("{name:?} is {problem}"))
                    .found_in(figment.find_metadata("pages"))
                    .cure(CURE)
            })
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// The page that somebody asked for, if it is one and counted.
    ///
    /// # Errors
    /// It is not; a name that cannot be one is no better than one that is not counted.
    pub fn counted(&self, page: Option<Page>) -> Result<Page, NotCounted> {
        page.filter(|page| self.contain(page)).ok_or(NotCounted)
    }

    /// Whether `page` is counted.
    pub fn contain(&self, page: &Page) -> bool {
        page.as_str() == "/"
            || self.0.iter().any(|pattern| match pattern {
                Pattern::One(one) => one == page,
                Pattern::Below(prefix) => page.as_str().starts_with(prefix.as_str()),
            })
    }
}

/// Manages which pages are counted.
pub fn stage() -> AdHoc {
    AdHoc::try_on_ignite("Pages", |rocket| async {
        match Pages::of(rocket.figment()) {
            Ok(pages) => Ok(rocket.manage(pages)),
            Err(_) => Err(rocket),
        }
    })
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
            assert_eq!(name.parse::<Page>().unwrap().as_str(), name);
        }
        let longest = "a".repeat(LONGEST);
        assert!(longest.parse::<Page>().is_ok());
        let wrong = [
            "", "//", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a b", "a%20b", "é", "a\0",
            "a\n", "<a>", "a&b", "a\"", "a*", "-+",
        ];
        for name in wrong.map(String::from).into_iter().chain([longest + "a"]) {
            assert_eq!(name.parse::<Page>(), Err(NotAPage), "{name:?}");
        }
    }

    #[test]
    fn a_url_names_a_page() {
        let home: [&[&str]; 2] = [&[], &["/"]];
        for segments in home {
            assert_eq!(Page::of_segments(segments), Ok(Page::home()));
        }
        let encoded: [&[&str]; 2] = [&["a", "b"], &["a/b"]];
        for segments in encoded {
            assert_eq!(Page::of_segments(segments), "a/b".parse());
        }
        let wrong: [&[&str]; 4] = [&["a", ""], &["..", "a"], &["a/../b"], &["/", "a"]];
        for segments in wrong {
            assert_eq!(Page::of_segments(segments), Err(NotAPage), "{segments:?}");
        }
    }

    #[test]
    fn closed_by_default_but_for_home() {
        let counted = |patterns: &[&str], page: &str| {
            let patterns = patterns.iter().map(|text| text.parse().unwrap());
            Pages(patterns.collect()).contain(&page.parse().unwrap())
        };
        assert!(counted(&[], "/"));
        assert!(!counted(&[], "readme"));
        assert!(counted(&["readme", "blog/*"], "readme"));
        assert!(counted(&["blog/*"], "blog/a") && counted(&["blog/*"], "blog/a/b"));
        assert!(!counted(&["blog/*"], "blog") && !counted(&["blog/*"], "blogs/a"));
        assert!(counted(&["*"], "any/thing"));
        for wrong in ["", "blog*", "*/a", "a/*/b", "/*", "a/**", "a b/*"] {
            assert_eq!(wrong.parse::<Pattern>().unwrap_err(), NotAPage, "{wrong}");
        }
    }
}
