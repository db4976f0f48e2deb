//! A model of the database: the tables `pages` and `writers`, and the statements in
//! `src/counter/ledger.rs` and `src/counter/settings.rs`.

use std::collections::{BTreeMap, BTreeSet};

/// How many pages there may be.
const PAGE_LIMIT: usize = 4;

/// A copy of a batch: its number, pages and sizes.
pub type Copy = (i64, Vec<String>, Vec<i64>);

/// The tables `pages` and `writers`, and the statements that add a batch and settle its outcome.
#[derive(Default)]
pub struct Database {
    pub pages: BTreeMap<String, i64>,
    writers: BTreeMap<usize, (i64, Vec<i64>)>,
    /// What has one of these pages is rejected.
    pub bad: BTreeSet<&'static str>,
}

/// What becomes of a copy.
pub enum Answer {
    /// The totals that it makes.
    Added(Vec<i64>),
    Rejected,
    /// It was not added, because of a new page.
    New,
}

impl Database {
    pub fn add(&mut self, writer: usize, (number, pages, sizes): &Copy) -> Answer {
        if pages.iter().any(|page| !self.pages.contains_key(page)) {
            return Answer::New;
        }
        let (last, totals) = self.writers.entry(writer).or_default();
        if *last >= *number || pages.iter().any(|page| self.bad.contains(page.as_str())) {
            return Answer::Rejected;
        }
        let add = |(page, size): (&String, &i64)| {
            let total = self.pages.entry(page.clone()).or_default();
            *total += size;
            *total
        };
        (*last, *totals) = (*number, pages.iter().zip(sizes).map(add).collect());
        Answer::Added(totals.clone())
    }

    /// Makes the new ones of `pages`. Returns those for which there is no room.
    pub fn admit(&mut self, pages: Vec<String>) -> Vec<String> {
        let admit = |page: &String| {
            if !self.pages.contains_key(page) && self.pages.len() < PAGE_LIMIT {
                self.pages.insert(page.clone(), 0);
            }
            !self.pages.contains_key(page)
        };
        pages.into_iter().filter(admit).collect()
    }

    /// The totals that the batch has made, or `None`, after which it can make none.
    pub fn settle(&mut self, writer: usize, number: i64) -> Option<Vec<i64>> {
        let (last, totals) = self.writers.entry(writer).or_default();
        if *last < number {
            (*last, *totals) = (number, Vec::new());
        }
        Some(totals.clone()).filter(|totals| !totals.is_empty())
    }
}
