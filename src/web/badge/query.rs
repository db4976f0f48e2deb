//! What the query of a badge asks for: how the badge looks, and whether it counts.

use rocket::http::uri::Origin;
use shields::{BadgeParams, BadgeStyle};

use crate::number::{compact, thousands};
use crate::web::error::Error;
use crate::web::picture::Picture;

/// How many characters a label may have.
const MAX_LABEL: usize = 40;

/// The names of colours that badges elsewhere have besides those of CSS.
const COLORS: [&str; 6] = [
    "brightgreen",
    "critical",
    "important",
    "inactive",
    "informational",
    "success",
];

/// How the number is written.
type Format = fn(i64) -> String;

/// The query of a badge. The first of several values for a key counts.
pub struct Query<'q> {
    label: &'q str,
    color: &'q str,
    label_color: &'q str,
    style: BadgeStyle,
    format: Format,
    /// Whether fetching the badge counts a view.
    pub counts: bool,
}

impl<'q> Query<'q> {
    /// Reads the query of `uri`.
    ///
    /// # Errors
    /// A key is unknown, or its value is.
    pub fn parse(uri: &'q Origin<'_>) -> Result<Self, Error> {
        let (mut label, mut color, mut label_color) = (None, None, None);
        let (mut style, mut format, mut counts) = (None, None, None);
        for (key, value) in uri.query().into_iter().flat_map(|query| query.segments()) {
            match key {
                "label" => _ = label.get_or_insert(parse_label(value)?),
                "color" => _ = color.get_or_insert(parse_color(value)?),
                "labelColor" => _ = label_color.get_or_insert(parse_color(value)?),
                "style" => _ = style.get_or_insert(parse_style(value)?),
                "format" => _ = format.get_or_insert(parse_format(value)?),
                "count" => _ = counts.get_or_insert(parse_count(value)?),
                _ => {
                    return Err(Error::InvalidQuery {
                        problem: "unknown parameter",
                        advice: "A badge has the parameters label, color, labelColor, style, \
                                 format and count. Nothing was counted.",
                    });
                }
            }
        }
        Ok(Self {
            label: label.unwrap_or("views"),
            color: color.unwrap_or("blue"),
            label_color: label_color.unwrap_or("grey"),
            style: style.unwrap_or_default(),
            format: format.unwrap_or(thousands),
            counts: counts.unwrap_or(true),
        })
    }

    /// The badge with `number`.
    pub fn draw(&self, number: i64) -> Picture {
        // A label without text would be a narrow strip of its colour.
        let has_label = !self.label.is_empty();
        Picture::new(&BadgeParams {
            style: self.style,
            label: has_label.then_some(self.label),
            message: Some(&(self.format)(number)),
            label_color: has_label.then_some(self.label_color),
            message_color: Some(self.color),
            ..BadgeParams::default()
        })
    }
}

fn parse_label(label: &str) -> Result<&str, Error> {
    // XML forbids these characters even when they are escaped.
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    match label.chars().count() > MAX_LABEL || label.chars().any(forbidden) {
        true => Err(Error::InvalidQuery {
            problem: "invalid label",
            advice: "A label has up to 40 characters, and no control characters. Nothing was \
                     counted.",
        }),
        false => Ok(label),
    }
}

/// A colour that browsers of any age know. The crate would draw its own for one that it does not
/// know, and nobody would learn of a misspelt name.
fn parse_color(color: &str) -> Result<&str, Error> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = color.strip_prefix('#').unwrap_or(color);
    let is_known = if is_hex(digits) {
        matches!(digits.len(), 3 | 6)
    } else {
        color.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (COLORS.iter().any(|name| name.eq_ignore_ascii_case(color))
                // `transparent` is no colour that a text could be read on.
                || csscolorparser::parse(color).is_ok_and(|color| color.a == 1.0))
    };
    match is_known {
        true => Ok(color),
        false => Err(Error::InvalidQuery {
            problem: "invalid colour",
            advice: "A colour is three or six hexadecimal digits, or a name such as green. Nothing \
                     was counted.",
        }),
    }
}

fn parse_style(style: &str) -> Result<BadgeStyle, Error> {
    style.parse().map_err(|_| Error::InvalidQuery {
        problem: "invalid style",
        advice: "style is flat, flat-square, plastic, for-the-badge or social. Nothing was \
                 counted.",
    })
}

fn parse_format(format: &str) -> Result<Format, Error> {
    match format {
        "full" => Ok(thousands),
        "compact" => Ok(compact),
        _ => Err(Error::InvalidQuery {
            problem: "invalid format",
            advice: "format is full or compact. Nothing was counted.",
        }),
    }
}

fn parse_count(count: &str) -> Result<bool, Error> {
    match count {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Error::InvalidQuery {
            problem: "invalid count",
            advice: "count is yes or no. Nothing was counted.",
        }),
    }
}
