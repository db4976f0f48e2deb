//! The name of a page, in whatever way it is spelled.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};
use percent_encoding::percent_decode_str;

/// How many characters the name of a page may have, in Unicode's form NFC.
pub const MAX_CHARS: usize = 200;

/// How many bytes it may have then, in UTF-8: enough for [`MAX_CHARS`] Chinese characters.
pub const MAX_BYTES: usize = 600;

/// The name of a page: `/`, or segments of a path with single slashes between them, such as
/// `blog/first-post` or `博客/你好`.
///
/// A segment has the characters that RFC 3987 allows there, as they are and not percent-encoded, in
/// Unicode's form NFC. None of them is a control, a space, a quotation mark (`"`), `<`, `>` or
/// invisible. But `&`, `'` and `,` may be among them, so a name is escaped like any text.
///
/// Sites and scripts spell the name of one page in several ways. [`PageName::from_str`] reads them
/// all. Cheap to clone. Ordered by bytes, as the database orders it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageName(Arc<str>);

/// A text that cannot be the name of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a page: a name is / or a path such as blog/first-post, with up to {} \
     characters and {} bytes, without spaces, invisible characters, the parts . and .., or any \
     of ? # % \\ ^ ` | \" < > [ ] {{ }}",
    MAX_CHARS,
    MAX_BYTES
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

    /// The page that the decoded segments of a URL's path name; no segment at all is `/`.
    ///
    /// A segment may contain slashes and percent signs: clients that fill in a URL template have to
    /// encode these, and scripts fill in a path that the browser has encoded.
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
    !matches!(text, "." | "..") && text.chars().all(is_allowed)
}

/// Whether a segment may contain `c`: `isegment` of RFC 3987, section 2.2, without percent signs,
/// and without what nobody sees.
fn is_allowed(c: char) -> bool {
    const VISIBLE: [GeneralCategoryGroup; 5] = [
        GeneralCategoryGroup::Letter,
        GeneralCategoryGroup::Mark,
        GeneralCategoryGroup::Number,
        GeneralCategoryGroup::Punctuation,
        GeneralCategoryGroup::Symbol,
    ];
    match c {
        '\0'..='\x7f' => c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c),
        // A pattern of Braille without dots, and characters that stand for something else.
        '\u{2800}' | '\u{fff0}'..='\u{ffff}' => false,
        _ => {
            let category = CodePointMapData::<GeneralCategory>::new().get(c);
            VISIBLE.iter().any(|group| group.contains(category))
                && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        }
    }
}

/// Reads every spelling of a name: with slashes before it and after it, with several slashes in a
/// row, with percent-encoded parts, in any form of Unicode. `//` is the page `/`.
impl FromStr for PageName {
    type Err = InvalidPageName;

    fn from_str(text: &str) -> Result<Self, InvalidPageName> {
        let decoded = percent_decode_str(text).decode_utf8();
        let decoded = decoded.map_err(|_| InvalidPageName)?;
        let normal = ComposingNormalizerBorrowed::new_nfc().normalize(&decoded);
        let segments = normal.split('/').filter(|segment| !segment.is_empty());
        let mut name = String::with_capacity(normal.len());
        for segment in segments {
            if !is_segment(segment) {
                return Err(InvalidPageName);
            }
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(segment);
        }
        if text.is_empty() || name.len() > MAX_BYTES || name.chars().count() > MAX_CHARS {
            Err(InvalidPageName)
        } else if name.is_empty() {
            Ok(Self::home())
        } else {
            Ok(Self(name.into()))
        }
    }
}

/// Ordered and compared like its text.
impl Borrow<str> for PageName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_in_the_path_of_a_page() {
        for name in [
            "/",
            "readme",
            "blog/first-post",
            "a.b~c_d-E9",
            "...",
            "a/..b",
            "-+",
            "!$&'()*+,;=:@",
            "博客/你好",
            "café",
            "हिन्दी",
            "العربية",
            "emoji/😀❤",
            "٣",
            "“quoted”–€",
        ] {
            let parsed: PageName = name.parse().unwrap();
            assert_eq!(parsed.as_str(), name);
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn every_spelling_of_a_name_is_one_page() {
        for (name, spellings) in [
            ("/", &["//", "%2F", "///"][..]),
            (
                "blog/a",
                &["/blog/a", "blog/a/", "//blog///a//", "blog%2Fa", "%62log/a"],
            ),
            ("café", &["cafe\u{301}", "caf%C3%A9", "/cafe%cc%81/"]),
            (
                "博客/你好",
                &[
                    "/%E5%8D%9A%E5%AE%A2/%e4%bd%a0%e5%a5%bd",
                    "/博客/%E4%BD%A0好",
                ],
            ),
            ("한", &["\u{1112}\u{1161}\u{11ab}"]),
            // The sign for ångström is the letter.
            ("Å", &["\u{212b}"]),
        ] {
            for spelling in spellings {
                assert_eq!(spelling.parse::<PageName>(), name.parse(), "{spelling}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn what_older_versions_have_stored_is_still_a_name(
            name in "[A-Za-z0-9._~-]{1,20}(/[A-Za-z0-9._~-]{1,20}){0,6}"
        ) {
            proptest::prop_assume!(!name.split('/').any(|part| matches!(part, "." | "..")));
            let parsed: PageName = name.parse().unwrap();
            proptest::prop_assert_eq!(parsed.as_str(), name);
        }
    }

    #[test]
    fn what_is_no_path_or_invisible_is_no_name() {
        for name in [
            "",
            ".",
            "..",
            "a/../b",
            "a/.",
            "%2e%2e/a",
            "a b",
            "a%20b",
            "a\0",
            "a\n",
            "a%00",
            "<a>",
            "a\"",
            "a?b",
            "a#b",
            "a\\b",
            "[a]",
            "a|b",
            "100%",
            "%zz",
            "%2525",
            "%FF",
            "%C3",
            "\u{fffd}",
            "a\u{a0}b",
            "a\u{3000}b",
            "a\u{200b}",
            "a\u{200d}b",
            "\u{202e}a",
            "\u{2066}a\u{2069}",
            "a\u{ad}b",
            "❤\u{fe0f}",
            "\u{3164}",
            "\u{2800}",
            "\u{e000}",
            "\u{378}",
            "\u{e0041}",
            "\u{feff}a",
            "a\u{85}",
            "a\u{2028}b",
        ] {
            assert_eq!(name.parse::<PageName>(), Err(InvalidPageName), "{name:?}");
        }
    }

    #[test]
    fn a_name_has_two_limits() {
        for (character, most) in [
            ("a", 200),
            ("é", 200),
            ("e\u{301}", 200),
            ("你", 200),
            ("😀", 150),
        ] {
            assert!(
                character.repeat(most).parse::<PageName>().is_ok(),
                "{character}"
            );
            let longer = character.repeat(most + 1);
            assert_eq!(
                longer.parse::<PageName>(),
                Err(InvalidPageName),
                "{character}"
            );
        }
    }

    #[test]
    fn a_url_names_a_page() {
        let home: [&[&str]; 3] = [&[], &["/"], &["", ""]];
        for segments in home {
            assert_eq!(PageName::from_segments(segments), Ok(PageName::home()));
        }
        let spellings: [&[&str]; 4] = [&["a", "b"], &["a/b"], &["a", "b", ""], &["", "%61", "b"]];
        for segments in spellings {
            assert_eq!(PageName::from_segments(segments), "a/b".parse());
        }
        let wrong: [&[&str]; 3] = [&["..", "a"], &["a/../b"], &["a", "%2e%2e"]];
        for segments in wrong {
            assert_eq!(
                PageName::from_segments(segments),
                Err(InvalidPageName),
                "{segments:?}"
            );
        }
    }
}
