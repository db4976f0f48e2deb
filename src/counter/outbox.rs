//! Which views the database has not confirmed, and under which number the next of them are sent.
//! Pure: it sends nothing.
//!
//! A batch whose outcome is unknown keeps its number until it is confirmed or rejected, because the
//! ledger adds a number once. So it is always safe to send a batch again.
//!
//! A rejected batch was not added, and never will be. Its pages are sent again in smaller batches,
//! under new numbers, down to the page that the database rejects alone. The views of that page are
//! then postponed, so that they delay no other page.

use std::collections::BTreeSet;
use std::mem;

use super::batch::Batch;
use crate::page::PageName;

/// Views that the database has not confirmed.
#[derive(Debug)]
pub struct Outbox<W> {
    /// The number of the last batch.
    number: i64,
    /// The batch that has this number, until its outcome is known.
    unconfirmed: Option<Batch<W>>,
    /// Whether a copy of it was sent whose outcome is unknown.
    sent: bool,
    /// Whether it is sent to find a page that is rejected, or to try such a page again.
    seeking: bool,
    /// Views that were not added: no batch had them, or it was rejected.
    waiting: Batch<W>,
    /// Whether a batch with these views was rejected.
    is_split: bool,
    /// The pages that were rejected alone, until a batch with the page is confirmed.
    rejected: BTreeSet<PageName>,
    /// Views of these pages.
    postponed: Batch<W>,
    /// The page that was rejected alone last.
    last_rejected: Option<PageName>,
    /// How many pages the next batch may have: half as many after a rejection, and then more with
    /// each confirmation.
    limit: usize,
    /// How many pages a batch may ever have, and how many views may be postponed.
    max: usize,
}

/// What has to be sent.
#[derive(Debug)]
pub struct Outgoing<'o, W> {
    /// The number of the batch.
    pub number: i64,
    /// The batch.
    pub batch: &'o Batch<W>,
    /// Whether an earlier copy was sent, so that the ledger may know the number already.
    pub again: bool,
    /// Whether the database may well reject it, so that it should not wait long for a lock.
    pub seeking: bool,
}

/// A page that the database rejects alone.
#[derive(Debug)]
pub struct Rejection<W> {
    /// The page.
    pub page: PageName,
    /// Its views that must be refused, because too many are postponed already.
    pub refused: Vec<W>,
}

impl<W> Outbox<W> {
    /// An empty outbox. A batch may have up to `max` pages, and up to `max` views may be postponed.
    pub fn new(max: usize) -> Self {
        Self {
            number: 0,
            unconfirmed: None,
            sent: false,
            seeking: false,
            waiting: Batch::default(),
            is_split: false,
            rejected: BTreeSet::new(),
            postponed: Batch::default(),
            last_rejected: None,
            limit: max,
            max,
        }
    }

    /// Accepts `views`. Returns those that must be refused, because too many are postponed already.
    /// Only for an outbox of which [`Outbox::outgoing`] has nothing to send.
    pub fn accept(&mut self, views: impl IntoIterator<Item = (PageName, W)>) -> Vec<W> {
        debug_assert!(self.unconfirmed.is_none(), "a batch is unconfirmed");
        let mut room = self.max.saturating_sub(self.postponed.len());
        let mut refused = Vec::new();
        for (page, view) in views {
            if !self.rejected.contains(&page) {
                self.waiting.push(page, view);
            } else if room > 0 {
                room -= 1;
                self.postponed.push(page, view);
            } else {
                refused.push(view);
            }
        }
        refused
    }

    /// What has to be sent next: the unconfirmed batch, or views that wait.
    pub fn outgoing(&mut self) -> Option<Outgoing<'_, W>> {
        if self.unconfirmed.is_none() && !self.waiting.is_empty() {
            let batch = self.waiting.take_first(self.limit);
            self.load(batch, self.is_split);
            self.is_split &= !self.waiting.is_empty();
        }
        let batch = self.unconfirmed.as_ref()?;
        Some(Outgoing {
            number: self.number,
            batch,
            again: self.sent,
            seeking: self.seeking,
        })
    }

    /// How many views are postponed.
    pub fn postponed(&self) -> usize {
        self.postponed.len()
    }

    /// Makes a batch of the next page that is postponed. Only for an outbox of which
    /// [`Outbox::outgoing`] has nothing to send.
    pub fn retry(&mut self) {
        debug_assert!(self.unconfirmed.is_none(), "a batch is unconfirmed");
        if let Some(batch) = self.postponed.take_page_after(self.last_rejected.as_ref()) {
            self.load(batch, true);
        }
    }

    fn load(&mut self, batch: Batch<W>, seeking: bool) {
        self.number += 1;
        self.sent = false;
        self.seeking = seeking;
        self.unconfirmed = Some(batch);
    }

    /// The batch was sent, and its outcome is unknown.
    pub fn failed(&mut self) {
        self.sent = true;
    }

    /// The batch is committed and made `totals`: numbers its views.
    pub fn confirmed(&mut self, totals: Vec<i64>) -> impl Iterator<Item = (W, i64)> {
        self.limit = (self.limit + self.limit / 8 + 1).min(self.max);
        let batch = self.unconfirmed.take().unwrap_or_default();
        self.rejected.retain(|page| !batch.contains(page));
        batch.numbered(totals)
    }

    /// No copy of the batch was added, and none can be any more, because some of its pages were
    /// new. Takes the views of `pages` out of it, and sends the others again under a new number.
    pub fn refuse(&mut self, pages: &[String]) -> Vec<W> {
        let mut batch = self.unconfirmed.take().unwrap_or_default();
        let refused = batch.remove(pages);
        if !batch.is_empty() {
            self.load(batch, self.seeking);
        }
        refused
    }

    /// No copy of the batch was added, and none can be any more. Says which page is to blame, if it
    /// was alone in the batch.
    pub fn rejected(&mut self) -> Option<Rejection<W>> {
        let mut batch = self.unconfirmed.take()?;
        let Some(page) = batch.only_page().filter(|_| !self.sent).cloned() else {
            // A copy that is sent again may be rejected for its number alone.
            if !self.sent {
                self.limit = batch.pages().len() / 2;
                self.is_split = true;
            }
            self.waiting.append(batch);
            return None;
        };
        let room = self.max.saturating_sub(self.postponed.len());
        let refused = batch.truncate_first(room);
        self.postponed.append(batch);
        self.rejected.insert(page.clone());
        self.last_rejected = Some(page.clone());
        Some(Rejection { page, refused })
    }

    /// Whether the database rejects what matters: the page `/`, or more than one page.
    pub fn rejects_much(&self) -> bool {
        self.rejected.len() > 1 || self.rejected.contains(&PageName::home())
    }

    /// Takes the views that are postponed.
    pub fn take_postponed(&mut self) -> impl Iterator<Item = W> {
        mem::take(&mut self.postponed).into_waiting()
    }

    /// Forgets the views of which `gone` says that nobody waits for their number any more. The
    /// views of an unconfirmed batch are forgotten only together: a copy that is still on its way
    /// may be added, once, under its number.
    pub fn abandon_if(&mut self, gone: impl Fn(&W) -> bool) {
        self.waiting.forget(&gone);
        self.postponed.forget(&gone);
        self.unconfirmed.take_if(|batch| batch.waiting().all(gone));
    }
}
