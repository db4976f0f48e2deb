//! Views that are added together: who waits for which page, and which numbers they get.

use std::collections::BTreeMap;

use crate::page::Page;

/// Waiting views of any pages, added to the database as one. `W` is whoever waits for a number.
#[derive(Debug)]
pub struct Batch<W> {
    /// Ordered by page, so that every replica locks rows in the same order and none can deadlock.
    waiting: BTreeMap<Page, Vec<W>>,
}

impl<W> FromIterator<(Page, W)> for Batch<W> {
    fn from_iter<I: IntoIterator<Item = (Page, W)>>(views: I) -> Self {
        let mut waiting = BTreeMap::<_, Vec<W>>::new();
        for (page, view) in views {
            waiting.entry(page).or_default().push(view);
        }
        Self { waiting }
    }
}

impl<W> Batch<W> {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many views there are to add.
    pub fn len(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Whoever waits.
    pub fn waiting(&self) -> impl Iterator<Item = &W> {
        self.waiting.values().flatten()
    }

    /// The pages, ordered.
    pub fn pages(&self) -> Vec<&str> {
        self.waiting.keys().map(Page::as_str).collect()
    }

    /// How many views each page gets, in the order of [`Batch::pages`].
    pub fn sizes(&self) -> Vec<i64> {
        self.waiting
            .values()
            .map(|views| views.len() as i64)
            .collect()
    }

    /// Hands each view its number: after n views made the total T, they are the views T-n+1 … T, in the order in which
    /// they came. `totals` is in the order of [`Batch::pages`].
    pub fn numbered(self, totals: Vec<i64>) -> impl Iterator<Item = (W, i64)> {
        self.waiting
            .into_values()
            .zip(totals)
            .flat_map(|(views, total)| {
                let first = total - views.len() as i64 + 1;
                views.into_iter().zip(first..)
            })
    }
}
