//! Which views the answers acknowledge, and whether exactly those were counted.

use std::collections::BTreeMap;

use rocket::serde::json::{self, Value};

use crate::common::answer;
use crate::common::connection::Answer;

/// How many views of each page the answers so far have acknowledged. What was refused must not be
/// counted, and what was answered must be counted once: so each number is the next one.
#[derive(Default)]
pub struct Account(BTreeMap<&'static str, i64>);

impl Account {
    /// Adds the view that `answer` acknowledges, if it acknowledges one.
    pub fn note(&mut self, answer: &Answer, asked: &str) {
        if let Some((page, number)) = acknowledged(answer) {
            self.add(page, number, asked);
        }
    }

    /// Adds a visit of `/` that had this number.
    pub fn visit(&mut self, number: i64, asked_before: &str) {
        self.add("/", number, &format!("the visit after {asked_before}"));
    }

    fn add(&mut self, page: &'static str, number: i64, asked: &str) {
        let views = self.0.entry(page).or_default();
        *views += 1;
        assert_eq!(number, *views, "the number of {page}: {asked}");
    }

    /// Checks how often the pages were counted.
    pub fn add_up(&self, counts: &BTreeMap<String, i64>) {
        let acknowledged: BTreeMap<_, _> = self
            .0
            .iter()
            .map(|(page, views)| (page.to_string(), *views))
            .collect();
        assert_eq!(counts, &acknowledged);
        assert_eq!(counts.len(), 2, "{counts:?}");
    }
}

/// The page and the number of the view that `answer` shows. All requests that count name the page
/// `/` or `readme`.
fn acknowledged(answer: &Answer) -> Option<(&'static str, i64)> {
    let body = &*answer.body;
    match (answer.status, answer.header("content-type")) {
        (200, "text/html; charset=utf-8") => Some(("/", answer::number(body)?)),
        (200, "image/svg+xml; charset=utf-8") => {
            let title = body.split_once("<title>")?.1.split_once("</title>")?.0;
            let number = title.rsplit(' ').next()?.replace(',', "");
            Some(("readme", number.parse().ok()?))
        }
        (201, _) => {
            let view: Value = json::from_str(body).ok()?;
            assert_eq!(view["page"], "readme", "{body}");
            Some(("readme", view["number"].as_i64()?))
        }
        _ => None,
    }
}
