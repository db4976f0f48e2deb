//! How a badge looks: its label, colours and widths, read from the query.

use rocket::{FromForm, form};

use crate::web::error::Error;

/// How many characters a label may have.
const MAX_LABEL: usize = 40;

/// The query of a badge. The first of several values for a key counts. `form::Result`, because an
/// `Option` would be `None` if a key stood there twice.
#[derive(FromForm)]
pub struct Query<'q> {
    label: form::Result<'q, &'q str>,
    color: form::Result<'q, &'q str>,
    #[field(name = "labelColor")]
    label_color: form::Result<'q, &'q str>,
    count: form::Result<'q, &'q str>,
}

/// The looks of a badge, in values that cannot break out of the picture.
pub struct Style<'q> {
    /// The left half. Empty for a badge without one.
    pub label: &'q str,
    pub color: Color,
    pub label_color: Color,
    /// Whether fetching the badge counts a view.
    pub counts: bool,
}

impl<'q> TryFrom<Query<'q>> for Style<'q> {
    type Error = Error;

    fn try_from(query: Query<'q>) -> Result<Self, Error> {
        let label = query.label.unwrap_or("views");
        // XML forbids these characters even when they are escaped.
        let forbidden = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
        if label.chars().count() > MAX_LABEL || label.chars().any(forbidden) {
            return Err(Error::InvalidQuery(
                "A label has up to 40 characters, all of them visible. Nothing was counted.",
            ));
        }
        let color = |text: form::Result<'_, &str>, default| {
            Color::parse(text.unwrap_or(default)).ok_or(Error::InvalidQuery(
                "A colour is three or six hexadecimal digits, or a name such as green. Nothing \
                 was counted.",
            ))
        };
        let counts = match query.count {
            Err(_) | Ok("yes") => true,
            Ok("no") => false,
            Ok(_) => {
                return Err(Error::InvalidQuery(
                    "count is yes or no. Nothing was counted.",
                ));
            }
        };
        let (color, label_color) = (
            color(query.color, "blue")?,
            color(query.label_color, "grey")?,
        );
        Ok(Self {
            label,
            color,
            label_color,
            counts,
        })
    }
}

/// A colour as 0xRRGGBB.
#[derive(Clone, Copy)]
pub struct Color(u32);

impl Color {
    /// Reads the names that badges elsewhere have, and `0af` or `00aaff`, also after a `#`.
    fn parse(text: &str) -> Option<Self> {
        let named = match text {
            "brightgreen" => 0x44cc11,
            "green" => 0x97ca00,
            "yellowgreen" => 0xa4a61d,
            "yellow" => 0xdfb317,
            "orange" => 0xfe7d37,
            "red" => 0xe05d44,
            "blue" => 0x007ec6,
            "grey" | "gray" => 0x555555,
            "lightgrey" | "lightgray" => 0x9f9f9f,
            "black" => 0x000000,
            "white" => 0xffffff,
            _ => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                // from_str_radix takes a sign.
                if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                let value = u32::from_str_radix(digits, 16).ok()?;
                match digits.len() {
                    6 => value,
                    3 => [8, 4, 0].into_iter().fold(0, |rgb, shift| {
                        (rgb << 8) | (((value >> shift) & 0xf) * 0x11)
                    }),
                    _ => return None,
                }
            }
        };
        Some(Self(named))
    }

    pub fn css(self) -> String {
        format!("#{:06x}", self.0)
    }

    /// The colour of text on this one: dark or white, whichever is easier to read. The weights of
    /// the channels are those of ITU-R BT.601.
    pub fn ink(self) -> &'static str {
        let [_, red, green, blue] = self.0.to_be_bytes().map(u32::from);
        if red * 299 + green * 587 + blue * 114 > 160_000 {
            "#333"
        } else {
            "#fff"
        }
    }
}

/// About how wide `text` is, in pixels at the size of a badge. The picture fits the text to that
/// width exactly, whatever the font.
pub fn width(text: &str) -> u32 {
    let width = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 4,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '-' | '/' => 5,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 10,
        'A'..='Z' => 8,
        '\0'..='\u{2ff}' => 7,
        // Other scripts than Latin: wide, as far as one can tell without the font.
        _ => 11,
    };
    text.chars().map(width).sum()
}
