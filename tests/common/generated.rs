//! Ten thousand random requests. Each answer is well-formed and repeats nothing of its request, and
//! says how often its page was counted.

mod badges;
mod requests;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use rocket::serde::json::{self, Value};
use rocket_dyn_templates::minijinja::HtmlEscape;
use roxmltree::Document;

use self::badges::Shapes;
use self::requests::{Request, request};
use super::answer;
use super::connection::{Answer, Connection};

const CASES: u32 = 10_000;

/// The headers that an answer may have.
const HEADERS: [&str; 22] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "expires",
    "location",
    "permissions-policy",
    "pragma",
    "retry-after",
    "server",
    "transfer-encoding",
    "x-accel-buffering",
    "x-content-type-options",
    "x-error-status",
    "x-frame-options",
];

/// What the answers so far say about the target.
struct Known<'a> {
    target: &'a Target<'a>,
    counts: BTreeMap<String, i64>,
    badges: Shapes,
    problems: HashSet<String>,
}

impl<'a> Known<'a> {
    /// Nothing is known yet but how badges look.
    fn of(target: &'a Target<'a>, badges: Shapes) -> Self {
        Self {
            target,
            counts: BTreeMap::new(),
            badges,
            problems: HashSet::new(),
        }
    }

    fn judge(&mut self, request: &Request, answer: &Answer) -> TestCaseResult {
        let Request {
            method,
            target,
            wants_image,
        } = request;
        let (mut status, body) = (answer.status, answer.body.as_str());
        let kind = answer.header("content-type");
        prop_assert!(status < 500, "{status}");
        // 400 is a target that is no URL.
        if *method == "GET" && target.starts_with("/badge/") && status != 400 {
            prop_assert!(
                kind.starts_with("image/svg+xml"),
                "a broken image: {status} {kind}"
            );
            let hidden = answer.header("x-error-status");
            if let Ok(hidden) = hidden.parse() {
                let shown = if self.target.shows_errors {
                    200
                } else {
                    hidden
                };
                prop_assert!(*wants_image && status == shown, "{status}");
                Document::parse(body).map_err(|problem| fail(problem, body))?;
                status = hidden;
            }
            prop_assert!(
                !*wants_image || status < 400 || !hidden.is_empty(),
                "{status}"
            );
        }
        let mut names = HashSet::new();
        for (name, value) in &answer.headers {
            let is_known = [&HEADERS, self.target.headers]
                .iter()
                .any(|known| known.contains(&&**name));
            prop_assert!(is_known && names.insert(name), "{name}: {value}");
            prop_assert!(
                value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{value:?}"
            );
        }
        let said: Value = match kind {
            kind if kind.ends_with("json") && !body.is_empty() => {
                json::from_str(body).map_err(|problem| fail(problem, body))?
            }
            _ => Value::Null,
        };
        if status == 405 {
            let mut allowed = answer.header("allow").split(", ");
            prop_assert!(
                allowed.all(|allowed| allowed != *method),
                "but {}",
                answer.header("allow")
            );
        }
        if status >= 400 {
            self.problems.insert(body.into());
            prop_assert!(
                self.problems.len() < 24,
                "one may say what was asked: {:?}",
                self.problems
            );
        } else if target.starts_with("/api/") && said != Value::Null {
            let (views, counted) = match status {
                201 => (&said["number"], 1),
                _ => (&said["views"], 0),
            };
            let page = request.page("/api/pages/", "").unwrap();
            prop_assert_eq!(said["page"].as_str(), Some(&*page));
            let known = self.viewed(&page, counted);
            prop_assert_eq!(views.as_i64(), Some(known));
        } else if target.starts_with("/badge/") && *method == "GET" {
            let counted = i64::from(request.asks("count").as_deref() != Some("no"));
            let number = self.viewed(&request.page("/badge/", ".svg").unwrap(), counted);
            self.badges.check(request, number, body)?;
        } else if target.starts_with("/pages/") && *method == "GET" {
            let page = request.page("/pages/", "").unwrap();
            let known = self.viewed(&page, 0);
            prop_assert_eq!(answer::number(body), Some(known));
            let heading = answer::heading(body).unwrap();
            let named = format!("<code>{}</code>", HtmlEscape(&page));
            prop_assert!(heading.ends_with(&named), "{heading:?}");
        }
        Ok(())
    }

    /// Adds the views that an answer acknowledged, and returns how many the page has.
    fn viewed(&mut self, page: &str, counted: i64) -> i64 {
        let known = self.counts.entry(page.into()).or_default();
        *known += counted;
        *known
    }
}

/// The error for a `body` that cannot be parsed.
fn fail(problem: impl Display, body: &str) -> TestCaseError {
    TestCaseError::fail(format!("{problem}: {body}"))
}

/// Who is asked, and how its answers differ from those of others.
pub struct Target<'a> {
    pub address: &'a str,
    /// The headers that its answers may have besides those of the app.
    pub headers: &'a [&'a str],
    /// Whether an error that is an embedded image has a status of success, for image proxies.
    pub shows_errors: bool,
}

/// Asks `target`. Returns how many views of each page its answers have acknowledged.
pub fn ask(target: &Target<'_>) -> BTreeMap<String, i64> {
    let mut connection = Connection::to(target.address);
    let known = Known::of(target, Shapes::known(&mut connection));
    let (connection, known) = (RefCell::new(connection), RefCell::new(known));
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let found = TestRunner::new(config).run(&request(), |request| {
        let answer = connection.borrow_mut().ask(&request.bytes());
        let answer =
            answer.map_err(|problem| TestCaseError::fail(format!("no answer: {problem}")))?;
        known.borrow_mut().judge(&request, &answer)
    });
    if let Err(found) = found {
        panic!("{found}");
    }
    let mut acknowledged = known.into_inner().counts;
    acknowledged.retain(|_, views| *views > 0);
    acknowledged
}

/// Checks how often the pages were counted.
pub fn add_up(acknowledged: &BTreeMap<String, i64>, counts: &BTreeMap<String, i64>) {
    assert_eq!(counts, acknowledged);
    let is_allowed = |page: &String| page == "/" || page == "readme" || page.starts_with("blog/");
    assert!(counts.keys().all(is_allowed), "{counts:?}");
    for name in counts.keys() {
        let is_invisible = |c: char| {
            let invisible = "\u{ad}\u{200b}\u{200d}\u{202e}\u{2066}\u{feff}\u{fffd}";
            c.is_control() || c.is_whitespace() || invisible.contains(c)
        };
        assert!(!name.contains(is_invisible), "{name:?}");
        assert!(
            name == "/" || name.split('/').all(|part| !part.is_empty()),
            "{name:?}"
        );
        // Not composed.
        assert!(!name.contains("e\u{301}"), "{name:?}");
        assert!(name.chars().count() <= 200 && name.len() <= 600, "{name:?}");
    }
    assert!(counts.keys().any(|name| name == "blog/café"), "{counts:?}");
    let sum = counts.values().sum::<i64>();
    assert!(sum > 900, "hardly any was counted: {counts:?}");
}
