//! A batch: views that are added in one transaction, and the numbers that they get.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound::{Excluded, Unbounded};

use crate::page::PageName;

/// Waiting views of any pages. `W` is what receives the number of a view.
#[derive(Debug)]
pub struct Batch<W> {
    /// Ordered by page: every replica locks rows in the same order, so none can deadlock.
    waiting: BTreeMap<PageName, Vec<W>>,
}

impl<W> Default for Batch<W> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
        }
    }
}

impl<W> Batch<W> {
    /// How many views there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Whether there are no views.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether `page` has views here.
    pub(super) fn contains(&self, page: &PageName) -> bool {
        self.waiting.contains_key(page)
    }

    /// Adds a view of `page`.
    pub(super) fn push(&mut self, page: PageName, view: W) {
        self.waiting.entry(page).or_default().push(view);
    }

    /// Moves all views of `other` here.
    pub(super) fn append(&mut self, other: Self) {
        for (page, mut views) in other.waiting {
            self.waiting.entry(page).or_default().append(&mut views);
        }
    }

    /// Takes the last views of the first page, so that the page keeps up to `room` of them.
    pub(super) fn truncate_first(&mut self, room: usize) -> Vec<W> {
        let Some(mut first) = self.waiting.first_entry() else {
            return Vec::new();
        };
        let views = first.get_mut();
        views.split_off(room.min(views.len()))
    }

    /// Forgets the views that are `gone`.
    pub(super) fn forget(&mut self, gone: impl Fn(&W) -> bool) {
        self.waiting.retain(|_, views| {
            views.retain(|view| !gone(view));
            !views.is_empty()
        });
    }

    /// Takes the views of `pages`.
    pub(super) fn remove(&mut self, pages: &[String]) -> Vec<W> {
        let is_among = |page: &PageName| pages.iter().any(|name| name == page.as_str());
        let removed = self.waiting.extract_if(.., |page, _| is_among(page));
        removed.flat_map(|(_, views)| views).collect()
    }

    /// Takes the views of the first `pages` pages.
    pub(super) fn take_first(&mut self, pages: usize) -> Self {
        let rest = match self.waiting.keys().nth(pages).cloned() {
            Some(page) => self.waiting.split_off(&page),
            None => BTreeMap::new(),
        };
        Self {
            waiting: mem::replace(&mut self.waiting, rest),
        }
    }

    /// Takes the views of the first page after `last`, or else of the first page.
    pub(super) fn take_page_after(&mut self, last: Option<&PageName>) -> Option<Self> {
        let after = |last: &PageName| (Excluded(last.clone()), Unbounded);
        let next = last.and_then(|last| self.waiting.range(after(last)).next());
        let (page, _) = next.or_else(|| self.waiting.first_key_value())?;
        let views = self.waiting.remove_entry(&page.clone())?;
        Some(Self {
            waiting: BTreeMap::from([views]),
        })
    }

    /// What receives the numbers.
    pub fn waiting(&self) -> impl Iterator<Item = &W> {
        self.waiting.values().flatten()
    }

    /// What receives the numbers, in the order of the pages.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = W> {
        self.waiting.into_values().flatten()
    }

    /// The pages, in order.
    pub fn pages(&self) -> Vec<&str> {
        self.waiting.keys().map(PageName::as_str).collect()
    }

    /// The page, if there is only one.
    pub(super) fn only_page(&self) -> Option<&PageName> {
        let mut pages = self.waiting.keys();
        pages.next().filter(|_| pages.next().is_none())
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
