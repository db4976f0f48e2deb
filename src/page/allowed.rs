//! Which pages are counted: the setting `pages`.

use serde::Deserialize;

use super::name::{InvalidPageName, PageName};
use super::pattern::{InvalidPattern, Pattern};

/// The pages that are counted: `/`, and those that the setting `pages` names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct AllowedPages(Vec<Pattern>);

/// Why a text names no counted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPage {
    /// No page could have this name.
    #[error("This is {0}. Nothing was counted.")]
    InvalidName(#[from] InvalidPageName),
    /// The setting does not name the page.
    #[error("No page of this name is counted here. Nothing was counted.")]
    NotCounted,
}

/// Counted pages: those with these names, and those whose names start with one of these texts.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    /// Names of pages.
    pub names: Vec<String>,
    /// What the names of other pages start with: the empty text, or a text that ends in a slash.
    pub prefixes: Vec<String>,
}

/// What a visitor can ask for: a counted page, or several together.
#[derive(Debug, PartialEq, Eq)]
pub enum Selected {
    /// A page.
    Page(PageName),
    /// The pages of a pattern that the setting `pages` contains, or of `*`, which is all of them.
    Pattern {
        /// The pattern in its one form.
        pattern: String,
        /// Its pages.
        pages: Selection,
    },
}

/// An entry of the setting `pages` that is neither a page nor a pattern.
#[derive(Debug, thiserror::Error)]
#[error("{entry:?} is {problem}")]
pub struct InvalidEntry {
    entry: String,
    problem: InvalidPattern,
}

impl TryFrom<Vec<String>> for AllowedPages {
    type Error = InvalidEntry;

    fn try_from(entries: Vec<String>) -> Result<Self, InvalidEntry> {
        let parse = |entry: String| {
            entry
                .parse()
                .map_err(|problem| InvalidEntry { entry, problem })
        };
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
    /// The text was no name, or the page is not counted.
    pub fn check(
        &self,
        page: Result<PageName, impl Into<UnknownPage>>,
    ) -> Result<PageName, UnknownPage> {
        let page = page.map_err(Into::into)?;
        match self.contains(&page) {
            true => Ok(page),
            false => Err(UnknownPage::NotCounted),
        }
    }

    /// Whether `page` is counted.
    pub fn contains(&self, page: &PageName) -> bool {
        page.as_str() == "/"
            || self.0.iter().any(|pattern| match pattern {
                Pattern::One(one) => one == page,
                Pattern::Below(prefix) => page.as_str().starts_with(prefix.as_str()),
            })
    }

    /// The counted pages that `text` names in any spelling: a page, or a pattern that ends in `*`.
    pub fn select(&self, text: &str) -> Option<Selected> {
        let pattern = match text.parse() {
            Ok(pattern @ Pattern::Below(_)) => pattern,
            // Only the setting has to tell a `*` in a name from a pattern.
            _ => {
                return self
                    .check(text.parse::<PageName>())
                    .ok()
                    .map(Selected::Page);
            }
        };
        let pages = if pattern == Pattern::Below(String::new()) {
            self.all()
        } else {
            let prefix = self.0.iter().find_map(|configured| match configured {
                Pattern::Below(prefix) if *configured == pattern => Some(prefix.clone()),
                _ => None,
            })?;
            Selection {
                names: Vec::new(),
                prefixes: vec![prefix],
            }
        };
        Some(Selected::Pattern {
            pattern: pattern.to_string(),
            pages,
        })
    }

    /// All counted pages.
    pub fn all(&self) -> Selection {
        let (mut names, mut prefixes) = (vec!["/".to_string()], Vec::new());
        for pattern in &self.0 {
            match pattern {
                Pattern::One(page) => names.push(page.to_string()),
                Pattern::Below(prefix) => prefixes.push(prefix.clone()),
            }
        }
        Selection { names, prefixes }
    }

    /// The patterns as an owner writes them, after `/`, which is always counted.
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
        let added = Pattern::One(page.clone());
        let entries = self.0.iter().chain([&added]);
        let entries: Vec<_> = entries.map(|pattern| format!("\"{pattern}\"")).collect();
        format!("[{}]", entries.join(", "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str]) -> AllowedPages {
        AllowedPages(patterns.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn closed_by_default_but_for_home() {
        let counted =
            |patterns: &[&str], page: &str| allowed(patterns).contains(&page.parse().unwrap());
        assert!(counted(&[], "/"));
        assert!(!counted(&[], "readme"));
        assert!(counted(&["readme", "blog/*"], "readme"));
        assert!(counted(&["blog/*"], "blog/a") && counted(&["blog/*"], "blog/a/b"));
        assert!(!counted(&["blog/*"], "blog") && !counted(&["blog/*"], "blogs/a"));
        assert!(counted(&["*"], "any/thing"));
    }

    #[test]
    fn a_visitor_can_select_a_counted_page_or_a_configured_pattern() {
        let allowed = allowed(&["readme", "blog/*", "5%2A"]);
        let pattern = |pattern: &str, names: &[&'static str], prefixes: &[&'static str]| {
            Some(Selected::Pattern {
                pattern: pattern.into(),
                pages: Selection {
                    names: names.iter().map(ToString::to_string).collect(),
                    prefixes: prefixes.iter().map(ToString::to_string).collect(),
                },
            })
        };
        for page in ["/", "readme", "blog/a", "5*"] {
            let selected = Some(Selected::Page(page.parse().unwrap()));
            assert_eq!(allowed.select(page), selected, "{page}");
        }
        for text in ["blog/*", "/blog//*"] {
            assert_eq!(allowed.select(text), pattern("blog/*", &[], &["blog/"]));
        }
        for text in ["*", "/*"] {
            let all = pattern("*", &["/", "readme", "5*"], &["blog/"]);
            assert_eq!(allowed.select(text), all);
        }
        for text in [
            "other", "blog", "blog*", "readme/*", "blog/a/*", "", "a b", "a b/*",
        ] {
            assert_eq!(allowed.select(text), None, "{text}");
        }
    }

    #[test]
    fn the_setting_can_be_pasted_between_single_quotes() {
        let page = "don't/5*$/ünï/cafe\u{301}".parse().unwrap();
        let setting = allowed(&["blog/*", "it's/*"]).setting_with(&page);
        let expected = r#"["blog/*", "it%27s/*", "don%27t/5%2A%24/ünï/café"]"#;
        assert_eq!(setting, expected);
        assert!(allowed(&["don%27t/5%2A%24/ünï/café"]).contains(&page));
    }
}
