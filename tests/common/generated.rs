//! Ten thousand random requests. Each answer is well-formed and repeats nothing of its request, and
//! says how often its page was counted.

mod requests;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use pageviews::number::thousands;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use rocket::serde::json::{self, Value};
use roxmltree::{Document, Node};

use self::requests::{Request, request};
use super::connection::{Answer, Connection};

const CASES: u32 = 10_000;

/// The headers that an answer may have.
const HEADERS: [&str; 21] = [
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
    "x-frame-options",
];

/// The elements of a picture and their attributes, without texts and values.
fn shape(picture: &Document<'_>) -> Vec<String> {
    let named = |node: Node<'_, '_>| {
        let attributes: Vec<_> = node
            .attributes()
            .map(|attribute| attribute.name())
            .collect();
        format!(
            "{:?} {:?} {attributes:?}",
            node.node_type(),
            node.tag_name()
        )
    };
    picture
        .descendants()
        .filter(|node| !node.is_text())
        .map(named)
        .collect()
}

/// What the answers so far say about the target.
struct Known<'a> {
    target: &'a Target<'a>,
    counts: BTreeMap<String, i64>,
    /// The shapes of badges without a label (`true`) and with one.
    shapes: BTreeMap<bool, Vec<String>>,
    problems: HashSet<String>,
}

impl<'a> Known<'a> {
    /// Nothing is known yet.
    fn of(target: &'a Target<'a>) -> Self {
        Self {
            target,
            counts: BTreeMap::new(),
            shapes: BTreeMap::new(),
            problems: HashSet::new(),
        }
    }

    fn judge(&mut self, request: &Request, answer: &Answer) -> TestCaseResult {
        let Request { method, target } = request;
        let (status, body) = (answer.status, answer.body.as_str());
        prop_assert!(status < 500, "{status}");
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
        let said: Value = match answer.header("content-type") {
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
                self.problems.len() < 12,
                "one may say what was asked: {:?}",
                self.problems
            );
        } else if target.starts_with("/api/") && said != Value::Null {
            let (views, counted) = match status {
                201 => (&said["number"], 1),
                _ => (&said["views"], 0),
            };
            let known = self.viewed(said["page"].as_str().unwrap(), counted);
            prop_assert_eq!(views.as_i64(), Some(known));
        } else if target.starts_with("/badge/") && *method == "GET" {
            self.badge(request, body)?;
        }
        Ok(())
    }

    /// Adds the views that an answer acknowledged, and returns how many the page has.
    fn viewed(&mut self, page: &str, counted: i64) -> i64 {
        let known = self.counts.entry(page.into()).or_default();
        *known += counted;
        *known
    }

    fn badge(&mut self, request: &Request, body: &str) -> TestCaseResult {
        let counted = i64::from(request.asks("count").as_deref() != Some("no"));
        let value = &*thousands(self.viewed(&request.page_of_badge(), counted));
        let label = &*request.asks("label").unwrap_or("views".into());
        let (name, texts) = match label {
            "" => (value.into(), vec![value; 2]),
            _ => (
                format!("{label}: {value}"),
                vec![label, label, value, value],
            ),
        };
        let picture = Document::parse(body).map_err(|problem| fail(problem, body))?;
        let said = |element: &str| -> Vec<_> {
            let elements = picture
                .descendants()
                .filter(|node| node.has_tag_name(element));
            elements.map(|node| node.text().unwrap_or("")).collect()
        };
        prop_assert_eq!(said("text"), texts);
        prop_assert_eq!(said("title"), [&name]);
        prop_assert_eq!(picture.root_element().attribute("aria-label"), Some(&*name));
        prop_assert_eq!(&shape(&picture), &self.shapes[&label.is_empty()]);
        Ok(())
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
}

/// Asks `target`. Returns how many views of each page its answers have acknowledged.
pub fn ask(target: &Target<'_>) -> BTreeMap<String, i64> {
    let mut connection = Connection::to(target.address);
    let mut known = Known::of(target);
    for (bare, query) in [(false, "count=no"), (true, "count=no&label=")] {
        let badge = Request::get(format!("/badge/readme.svg?{query}"));
        let badge = connection.ask(&badge.bytes()).unwrap();
        let picture = Document::parse(&badge.body).unwrap();
        known.shapes.insert(bare, shape(&picture));
    }
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
    let sum = counts.values().sum::<i64>();
    assert!(sum > 900, "hardly any was counted: {counts:?}");
}
