//! The random requests, and what a page or a badge must make of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use pageviews::page::PageName;

/// Texts that break out of a path, a header, XML, HTML, SQL or a terminal if nothing escapes them.
const HOSTILE: [&str; 32] = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/",
    "//",
    "\\",
    "\0",
    "\r\nSet-Cookie: a=b",
    "\r\n\r\n<svg onload=alert(1)>",
    "\t",
    "\u{7f}",
    "\u{85}",
    "\u{1b}[31m",
    "<script>alert(1)</script>",
    "</text><script/>",
    "\"onload=\"alert(1)",
    "'onload='alert(1)",
    "]]>",
    "<![CDATA[",
    "<!--",
    "&#0;",
    "&#x1;&lt;&amp;",
    "&x;",
    "{{ 7 * 7 }}{% raw %}",
    "'; DROP TABLE pages; --",
    "%00%2e%2e%2f",
    "\u{fffe}\u{ffff}\u{fffd}",
    "\u{202e}\u{2066}\u{200b}\u{feff}",
    "👩‍👩‍👧🇪🇺",
    "e\u{301}\u{301}\u{301}",
    "views",
];

/// The styles of a badge.
pub const STYLES: [&str; 5] = ["flat", "flat-square", "plastic", "for-the-badge", "social"];

/// Parts of a URL that a client encodes wrongly or not at all.
const BARE: [&str; 16] = [
    "%",
    "%2",
    "%zz",
    "%u0041",
    "%C0%AF",
    "%ED%A0%80",
    "..",
    "<script>",
    "\"",
    "'",
    "`{|}^",
    "[]",
    "\\",
    "+",
    ";=,@:",
    "?label=a&count=no",
];

#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub target: String,
    /// Whether it says that it wants an image, as a browser and an image proxy do.
    pub wants_image: bool,
}

/// Percent-encodes every byte that is not a letter or a digit.
fn encoded(bytes: impl AsRef<[u8]>) -> String {
    let each = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    bytes.as_ref().iter().map(each).collect()
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => vec(any::<u8>(), 0..20).prop_map(encoded),
        2 => vec(any::<char>(), 0..20).prop_map(|text| encoded(String::from_iter(text))),
        4 => select(&HOSTILE[..]).prop_map(encoded),
        2 => select(&BARE[..]).prop_map(String::from),
    ]
}

fn name() -> impl Strategy<Value = String> {
    const SOUND: [&str; 18] = [
        "readme",
        "/readme//",
        "%2Freadme%2F",
        "r%65adme",
        "r%2565adme",
        "blog/a",
        "blog%2Fa",
        "blog/views",
        "blog/caf%C3%A9",
        "blog/cafe%cc%81",
        "blog/caf%25C3%25A9/",
        "blog/%e5%8d%9a%E5%AE%A2/%E4%BD%A0",
        "//blog//%25E5%258D%259A%E5%AE%A2//%E4%BD%A0",
        "blog/%D7%A9%D7%9C%D7%95%D7%9D",
        "blog/!$&'()*+,;=:@",
        "blog",
        "%2F",
        "",
    ];
    let joined = (piece(), select(&["", "/", "%2F", "readme", "blog/"][..]));
    prop_oneof![
        8 => vec(joined, 1..4).prop_map(|parts| {
            let glued = parts.into_iter().map(|(piece, glue)| format!("{glue}{piece}"));
            glued.collect()
        }),
        3 => select(&SOUND[..]).prop_map(String::from),
        1 => piece().prop_map(|piece| piece.repeat(10_000 / piece.len().max(1))),
    ]
}

fn query() -> impl Strategy<Value = String> {
    const KEYS: [&str; 7] = [
        "label[x]", "label.x", "Label", "color", "count", "style", "x",
    ];
    const COLORS: [&str; 6] = [
        "green",
        "0af",
        "%23abcdef",
        "Critical",
        "REBECCAPURPLE",
        "gren",
    ];
    let of = |key: &'static str, values: &'static [&str]| {
        select(values).prop_map(move |value| format!("{key}={value}"))
    };
    let label = (select(&["label", "lab%65l"][..]), piece());
    let any = (select(&KEYS[..]), proptest::option::weighted(0.9, piece()));
    let pair = prop_oneof![
        4 => label.prop_map(|(key, value)| format!("{key}={value}")),
        1 => of("label", &["", "some+views", "%C3%9F"]),
        2 => of("color", &COLORS),
        2 => of("labelColor", &COLORS),
        2 => of("style", &STYLES),
        1 => of("format", &["compact", "full"]),
        1 => of("count", &["no", "yes"]),
        1 => any.prop_map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => key.to_string(),
        }),
    ];
    (select(&["", "count=no&"][..]), vec(pair, 0..4))
        .prop_map(|(first, pairs)| format!("{first}{}", pairs.join("&")))
}

/// Any request. A good part of them is valid.
pub fn request() -> impl Strategy<Value = Request> {
    const METHODS: [&str; 8] = [
        "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "OPTIONS",
    ];
    const PLACES: [(&str, &str); 4] = [
        ("/badge/", ".svg"),
        ("/api/pages/", ""),
        ("/pages/", ""),
        ("/live/", ""),
    ];
    let named = (
        select(&METHODS[..]),
        select(&PLACES[..]),
        name(),
        any::<bool>(),
    );
    let styled = (
        select(&["GET", "GET", "GET", "HEAD"][..]),
        query(),
        any::<bool>(),
    );
    prop_oneof![
        4 => named.prop_map(|(method, (before, after), name, wants_image)| Request {
            method,
            target: format!("{before}{name}{after}"),
            wants_image,
        }),
        4 => styled.prop_map(|(method, query, wants_image)| Request {
            method,
            target: format!("/badge/readme.svg?{query}"),
            wants_image,
        }),
        1 => vec(name(), 1..4).prop_map(|names| {
            Request::get(format!("/live?page={}", names.join("&page=")))
        }),
    ]
}

/// Decodes each valid `%XX` and keeps the rest.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let escape = text
            .get(at + 1..at + 3)
            .filter(|digits| bytes[at] == b'%' && !digits.starts_with('+'));
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Request {
    pub fn get(target: String) -> Self {
        Self {
            method: "GET",
            target,
            wants_image: false,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let Self { method, target, .. } = self;
        let accept = match self.wants_image {
            true => "Accept: image/webp,image/*,*/*;q=0.8\r\n",
            false => "",
        };
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{accept}\r\n").into_bytes()
    }

    /// The first value of `key` in the query.
    pub fn asks(&self, key: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(&name.replace('+', " "));
            (name == key).then(|| decoded(&value.replace('+', " ")))
        })
    }

    /// The page that this request names, after `before` and with `after` at its end.
    pub fn page(&self, before: &str, after: &str) -> Option<String> {
        let path = decoded(self.target.split('?').next()?);
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        Some(format!("/{name}").parse::<PageName>().ok()?.to_string())
    }
}
