//! A batch: views that are added in one transaction, and the numbers that they get.

use std::collections::BTreeMap;

use crate::page::PageName;

/// Waiting views of any pages. `W` is what receives the number of a view.
#[derive(Debug)]
pub struct Batch<W> {
    /// Ordered by page: every replica locks rows in the same order, so none can deadlock.
    waiting: BTreeMap<PageName, Vec<W>>,
}

impl<W> FromIterator<(PageName, W)> for Batch<W> {
    fn from_iter<I: IntoIterator<Item = (PageName, W)>>(views: I) -> Self {
        let mut waiting = BTreeMap::<_, Vec<W>>::new();
        for (page, view) in views {
            waiting.entry(page).or_default().push(view);
        }
        Self { waiting }
    }
}

impl<W> Batch<W> {
    /// How many views there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// What receives the numbers.
    pub fn waiting(&self) -> impl Iterator<Item = &W> {
        self.waiting.values().flatten()
    }

    /// The pages, in order.
    pub fn pages(&self) -> Vec<&str> {
        self.waiting.keys().map(PageName::as_str).collect()
    }

    /// How many views each page gets, in the order of [`Batch::pages`].
    pub fn sizes(&self) -> Vec<i64> {
        self.waiting
            .values()
            .map(|views| views.len() as i64)
            .collect()
    }

    /// Gives each view its number. When n views made the total T, they are the views T-n+1 … T, in
    /// the order in which they came. `totals` is in the order of [`Batch::pages`].
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
