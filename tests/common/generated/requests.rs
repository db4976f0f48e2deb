//! The random requests, and what a page or a badge must make of them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

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
    const SOUND: [&str; 7] = [
        "readme",
        "blog/a",
        "blog%2Fa",
        "blog/views",
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
    const KEYS: [&str; 10] = [
        "label",
        "label",
        "lab%65l",
        "Label",
        "label[x]",
        "label.x",
        "color",
        "labelColor",
        "count",
        "x",
    ];
    const SOUND: [&str; 7] = ["no", "yes", "green", "0af", "%23abcdef", "some+views", ""];
    let value = prop_oneof![4 => piece(), 1 => select(&SOUND[..]).prop_map(String::from)];
    let pair = (select(&KEYS[..]), proptest::option::weighted(0.9, value));
    let pair = pair.prop_map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.to_string(),
    });
    (select(&["", "count=no&"][..]), vec(pair, 0..4))
        .prop_map(|(first, pairs)| format!("{first}{}", pairs.join("&")))
}

/// Any request. A good part of them is valid.
pub fn request() -> impl Strategy<Value = Request> {
    const METHODS: [&str; 8] = [
        "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "OPTIONS",
    ];
    const PLACES: [(&str, &str); 3] = [("/badge/", ".svg"), ("/api/pages/", ""), ("/live/", "")];
    let named = (select(&METHODS[..]), select(&PLACES[..]), name());
    let styled = (select(&["GET", "GET", "GET", "HEAD"][..]), query());
    prop_oneof![
        4 => named.prop_map(|(method, (before, after), name)| Request {
            method,
            target: format!("{before}{name}{after}")
        }),
        4 => styled.prop_map(|(method, query)| Request {
            method,
            target: format!("/badge/readme.svg?{query}")
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
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let Self { method, target } = self;
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
    }

    /// The first value of `key` in the query.
    pub fn asks(&self, key: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(&name.replace('+', " "));
            // Rocket takes label.x and label[x] for parts of label.
            (name.split(['.', '[']).next() == Some(key)).then(|| decoded(&value.replace('+', " ")))
        })
    }

    /// The page of the badge that this request asks for.
    pub fn page_of_badge(&self) -> String {
        let path = decoded(self.target.split('?').next().unwrap());
        let file = path
            .strip_prefix("/badge/")
            .unwrap()
            .strip_suffix(".svg")
            .unwrap();
        let parts: Vec<_> = file.split('/').filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [] => "/".into(),
            _ => parts.join("/"),
        }
    }
}
