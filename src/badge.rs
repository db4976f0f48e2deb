//! The badge: a small picture of a page's count, for other sites to embed. Fetching it counts a view.

use rocket::fairing::AdHoc;
use rocket::form;
use rocket::http::Header;
use rocket::http::uri::Segments;
use rocket::http::uri::fmt::Path;
use rocket::request::FromSegments;
use rocket::{FromForm, Responder, State, get, head, routes};
use rocket_dyn_templates::{Template, context};

use crate::api;
use crate::database::Db;
use crate::errors::Error;
use crate::methods;
use crate::page::{NotAPage, Page, Pages};
use crate::templates::thousands;
use crate::views::Views;
use crate::visit::{Speculative, Visit};

/// How many characters a label may have.
const LONGEST_LABEL: usize = 40;

/// `<page>.svg`: the page of a badge. For `/` that is `.svg`.
struct File(Page);

impl<'r> FromSegments<'r> for File {
    type Error = NotAPage;

    fn from_segments(segments: Segments<'r, Path>) -> Result<Self, NotAPage> {
        let mut segments: Vec<_> = segments.collect();
        let last = segments.last_mut().ok_or(NotAPage)?;
        *last = last.strip_suffix(".svg").ok_or(NotAPage)?;
        if last.is_empty() {
            segments.pop();
        }
        Page::of_segments(&segments).map(Self)
    }
}

/// What the query says of the badge's looks. Of a key that stands there twice, the first counts; an `Option` would be none.
#[derive(FromForm)]
struct Query<'q> {
    label: form::Result<'q, &'q str>,
    color: form::Result<'q, &'q str>,
    #[field(name = "labelColor")]
    label_color: form::Result<'q, &'q str>,
    count: form::Result<'q, &'q str>,
}

/// The badge's looks, in terms that cannot break out of the picture.
struct Style<'q> {
    label: &'q str,
    color: Color,
    label_color: Color,
    /// Whether fetching it counts a view.
    counts: bool,
}

impl<'q> TryFrom<Query<'q>> for Style<'q> {
    type Error = Error;

    fn try_from(query: Query<'q>) -> Result<Self, Error> {
        let label = query.label.unwrap_or("views");
        // Not in XML, escaped or not.
        let forbidden = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
        if label.chars().count() > LONGEST_LABEL || label.chars().any(forbidden) {
            return Err(Error::Unacceptable(
                "A label has up to 40 characters, and none that is invisible. Nothing was counted.",
            ));
        }
        let color = |text: form::Result<'_, &str>, default| {
            Color::parse(text.unwrap_or(default)).ok_or(Error::Unacceptable(
                "A colour is three or six hexadecimal digits, or a name such as green. Nothing was counted.",
            ))
        };
        let counts = match query.count {
            Err(_) | Ok("yes") => true,
            Ok("no") => false,
            Ok(_) => {
                return Err(Error::Unacceptable(
                    "count is yes or no. Nothing was counted.",
                ));
            }
        };
        Ok(Self {
            label,
            color: color(query.color, "blue")?,
            label_color: color(query.label_color, "grey")?,
            counts,
        })
    }
}

/// A colour as red, green and blue.
#[derive(Clone, Copy)]
struct Color(u32);

impl Color {
    /// Reads `0af`, `00aaff`, each also after a `#`, and the names that badges elsewhere have.
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

    fn css(self) -> String {
        format!("#{:06x}", self.0)
    }

    /// Black or white, whichever is easier to read on this. Weights of the channels from ITU-R BT.601.
    fn ink(self) -> &'static str {
        let [_, red, green, blue] = self.0.to_be_bytes().map(u32::from);
        if red * 299 + green * 587 + blue * 114 > 160_000 {
            "#333"
        } else {
            "#fff"
        }
    }
}

/// How wide `text` is about, in pixels at the badge's size; the picture fits it to that exactly, whatever the font.
fn width(text: &str) -> u32 {
    let width = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 4,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '-' | '/' => 5,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 10,
        'A'..='Z' => 8,
        '\0'..='\u{2ff}' => 7,
        // Scripts beyond the Latin ones: wide, as far as anybody can tell without the font.
        _ => 11,
    };
    text.chars().map(width).sum()
}

/// Proxies of images, GitHub's above all, keep what does not say three times that it must not be kept.
#[derive(Responder)]
#[response(content_type = "image/svg+xml; charset=utf-8")]
struct Badge<B> {
    picture: B,
    cache: Header<'static>,
    pragma: Header<'static>,
    expires: Header<'static>,
    origin: Header<'static>,
    policy: Header<'static>,
}

impl<B> Badge<B> {
    fn of(picture: B) -> Self {
        Self {
            picture,
            cache: Header::new(
                "Cache-Control",
                "max-age=0, no-cache, no-store, must-revalidate",
            ),
            pragma: Header::new("Pragma", "no-cache"),
            expires: Header::new("Expires", "0"),
            origin: methods::any_origin(),
            policy: Header::new("Cross-Origin-Resource-Policy", "cross-origin"),
        }
    }
}

#[get("/badge/<file..>?<query..>")]
async fn badge(
    file: Option<File>,
    query: Query<'_>,
    visit: Result<Visit, Speculative>,
    pages: &State<Pages>,
    views: &State<Views>,
    db: &Db,
) -> Result<Badge<Template>, Error> {
    let page = pages.counted(file.map(|File(page)| page))?;
    let style = Style::try_from(query)?;
    let number = if style.counts {
        let Visit = visit?;
        views.count(page).await?
    } else {
        api::history(views, db, &page).await?.views
    };
    let value = thousands(number);
    // Five pixels on either side.
    let value_width = width(&value) + 10;
    let label_width = match style.label {
        "" => 0,
        label => width(label) + 10,
    };
    Ok(Badge::of(Template::render(
        "badge",
        context! {
            label: style.label,
            label_width,
            label_color: style.label_color.css(),
            label_ink: style.label_color.ink(),
            value,
            value_width,
            color: style.color.css(),
            ink: style.color.ink(),
            width: label_width + value_width,
        },
    )))
}

/// What GET would answer, without its body, and without counting.
#[head("/badge/<file..>")]
fn preview(file: Option<File>, pages: &State<Pages>) -> Result<Badge<()>, Error> {
    pages.counted(file.map(|File(page)| page))?;
    Ok(Badge::of(()))
}

/// Serves badges.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Badge", |rocket| async {
        rocket
            .mount("/", routes![badge, preview])
            .mount("/", methods::others("/badge/<page..>", |_| methods::READ))
    })
}
