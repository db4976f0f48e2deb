//! Which batch is on its way to the database, and under which number. Pure: it sends nothing.
//!
//! A batch whose outcome is unknown keeps its number until it is confirmed, because the ledger
//! adds a number once. So it is always safe to send a batch again.

use super::batch::Batch;
use crate::page::PageName;

/// At most one batch, until it is confirmed.
#[derive(Debug)]
pub struct Outbox<W> {
    /// The number of the last batch that was put in.
    number: i64,
    unconfirmed: Option<Batch<W>>,
    /// Whether the unconfirmed batch was sent before.
    sent: bool,
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
}

impl<W> Default for Outbox<W> {
    fn default() -> Self {
        Self {
            number: 0,
            unconfirmed: None,
            sent: false,
        }
    }
}

impl<W> Outbox<W> {
    /// Makes a batch of `views`, under a new number. Only for an empty outbox.
    pub fn fill(&mut self, views: impl IntoIterator<Item = (PageName, W)>) {
        debug_assert!(
            self.unconfirmed.is_none(),
            "the batch before is unconfirmed"
        );
        self.number += 1;
        self.sent = false;
        self.unconfirmed = Some(views.into_iter().collect());
    }

    /// What has to be sent next: the batch that is not confirmed yet.
    pub fn next(&self) -> Option<Outgoing<'_, W>> {
        let batch = self.unconfirmed.as_ref()?;
        Some(Outgoing {
            number: self.number,
            batch,
            again: self.sent,
        })
    }

    /// The batch was sent, and its outcome is unknown.
    pub fn failed(&mut self) {
        self.sent = true;
    }

    /// The batch is committed and made `totals`: empties the outbox and numbers the views.
    pub fn confirmed(&mut self, totals: Vec<i64>) -> impl Iterator<Item = (W, i64)> {
        self.unconfirmed
            .take()
            .map(|batch| batch.numbered(totals))
            .into_iter()
            .flatten()
    }

    /// Empties the outbox if `W` says of every view that nobody waits for its number any more. A
    /// copy that is still on its way may be added: once, under its number.
    pub fn abandon_if(&mut self, gone: impl Fn(&W) -> bool) {
        self.unconfirmed.take_if(|batch| batch.waiting().all(gone));
    }
}
