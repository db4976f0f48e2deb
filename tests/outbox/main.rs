//! The outbox under random histories: batches of several writers are lost before, during and after
//! their commit, rejected because of a page, not added because of a new one, and sent again.
//!
//! The outbox and the numbering are the real ones, and the database is a model.
//! `tests/system/exactly_once.rs` breaks the real one in the same ways.

// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

mod model;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use pageviews::counter::outbox::Outbox;
use pageviews::page::PageName;
use proptest::prelude::*;

use crate::model::{Answer, Copy, Database};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A view of the page comes to the writer.
    Arrive { writer: usize, page: usize },
    /// The writer sends what is in its outbox. An empty outbox accepts what waits.
    Send { writer: usize, fate: Fate },
    /// Every visitor of the writer hangs up.
    HangUp { writer: usize },
    /// A copy that was thought to be lost arrives after all.
    LateCopy { writer: usize },
    /// The database begins, or ends, to reject what has this page.
    Reject { page: usize },
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    /// It never arrived.
    LostBefore,
    /// It was committed or rejected, and the answer was lost.
    LostAfter,
    /// It was rejected and settled, and the answer was lost.
    LostAfterSettling,
    /// It was still on its way when it was given up.
    Delayed,
}

const PAGES: [&str; 5] = ["/", "a", "b", "c", "d"];
const WRITERS: usize = 3;

/// How many pages a batch may have, and how many views may be postponed.
const MAX: usize = 4;

/// A view: its page, and its place among all that came.
type View = (usize, u32);

struct Writer {
    waiting: Vec<(PageName, View)>,
    outbox: Outbox<View>,
    late_copies: Vec<Copy>,
}

impl Writer {
    fn new() -> Self {
        Self {
            waiting: Vec::new(),
            outbox: Outbox::new(MAX),
            late_copies: Vec::new(),
        }
    }
}

/// What became of the views.
#[derive(Default)]
struct Account {
    shown: [BTreeSet<i64>; PAGES.len()],
    /// The last view of each page and writer that got a number, and the number.
    last: BTreeMap<(usize, usize), (u32, i64)>,
    /// Views that hung up or were refused.
    gone: BTreeSet<View>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::LostBefore),
        1 => Just(Fate::LostAfter),
        1 => Just(Fate::LostAfterSettling),
        1 => Just(Fate::Delayed),
    ];
    let writer = 0..WRITERS;
    let page = 0..PAGES.len();
    let step = prop_oneof![
        8 => (writer.clone(), page.clone())
            .prop_map(|(writer, page)| Step::Arrive { writer, page }),
        6 => (writer.clone(), fate).prop_map(|(writer, fate)| Step::Send { writer, fate }),
        1 => writer.clone().prop_map(|writer| Step::HangUp { writer }),
        1 => writer.prop_map(|writer| Step::LateCopy { writer }),
        1 => page.prop_map(|page| Step::Reject { page }),
    ];
    prop::collection::vec(step, 0..160)
}

/// Sends the next batch of the writer `id`. `false` if there is nothing to send.
fn send(
    database: &mut Database,
    id: usize,
    writer: &mut Writer,
    fate: Fate,
    account: &mut Account,
) -> Result<bool, TestCaseError> {
    let Writer {
        waiting,
        outbox,
        late_copies,
    } = writer;
    if outbox.outgoing().is_none() {
        account.gone.extend(outbox.accept(waiting.drain(..)));
    }
    prop_assert!(outbox.postponed() <= MAX);
    if outbox.outgoing().is_none() {
        outbox.retry();
    }
    let Some(outgoing) = outbox.outgoing() else {
        return Ok(false);
    };
    let (number, again) = (outgoing.number, outgoing.again);
    let pages: Vec<_> = outgoing
        .batch
        .pages()
        .into_iter()
        .map(String::from)
        .collect();
    let copy: Copy = (number, pages, outgoing.batch.sizes());
    prop_assert!(
        copy.1.is_sorted_by(|a, b| a < b),
        "rows are locked in one order"
    );
    prop_assert!(copy.1.len() <= MAX);
    match fate {
        Fate::Answered => {
            let added = database.add(id, &copy);
            let is_new = matches!(added, Answer::New);
            let totals = match added {
                Answer::Added(totals) => Some(totals),
                // Nothing has to be settled: this was the only copy, and it is done.
                Answer::New if !again => None,
                Answer::New | Answer::Rejected => {
                    let settled = database.settle(id, number);
                    prop_assert!(again || settled.is_none(), "its number is new");
                    settled
                }
            };
            match totals {
                Some(totals) => {
                    for ((page, arrival), number) in outbox.confirmed(totals) {
                        prop_assert!(account.shown[page].insert(number), "twice: {}", number);
                        let last = account.last.entry((id, page)).or_default();
                        prop_assert!((arrival, number) > *last, "out of order");
                        *last = (arrival, number);
                    }
                }
                None if is_new => {
                    let refused = database.admit(copy.1);
                    account.gone.extend(outbox.refuse(&refused));
                }
                None => {
                    let rejection = outbox.rejected();
                    // A copy that was sent again may be rejected for its number alone.
                    prop_assert_eq!(rejection.is_some(), copy.1.len() == 1 && !again);
                    account
                        .gone
                        .extend(rejection.into_iter().flat_map(|known| known.refused));
                }
            }
            let next = outbox
                .outgoing()
                .map(|outgoing| (outgoing.number, outgoing.again));
            prop_assert!(
                next.is_none_or(|(next, again)| next > number && !again),
                "a batch whose outcome is known is done with"
            );
            return Ok(true);
        }
        Fate::LostBefore => {}
        Fate::LostAfter => {
            database.add(id, &copy);
        }
        Fate::LostAfterSettling => {
            if !matches!(database.add(id, &copy), Answer::Added(_)) {
                database.settle(id, number);
            }
        }
        Fate::Delayed => late_copies.push(copy),
    }
    outbox.failed();
    let kept = outbox
        .outgoing()
        .map(|outgoing| (outgoing.number, outgoing.again));
    prop_assert_eq!(kept, Some((number, true)), "it keeps its number");
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn acknowledged_at_most_counted_at_most_attempted_and_no_number_twice(steps in steps()) {
        let mut database = Database::default();
        let mut writers: [Writer; WRITERS] = std::array::from_fn(|_| Writer::new());
        let mut attempted = [0_i64; PAGES.len()];
        let mut account = Account::default();
        let mut arrivals = 0;
        for step in steps {
            match step {
                Step::Arrive { writer, page } => {
                    attempted[page] += 1;
                    arrivals += 1;
                    writers[writer].waiting.push((PAGES[page].parse().unwrap(), (page, arrivals)));
                }
                Step::Send { writer, fate } => {
                    send(&mut database, writer, &mut writers[writer], fate, &mut account)?;
                }
                Step::HangUp { writer } => {
                    let gone = RefCell::new(Vec::new());
                    writers[writer].outbox.abandon_if(|view| {
                        gone.borrow_mut().push(*view);
                        true
                    });
                    account.gone.extend(gone.into_inner());
                }
                Step::LateCopy { writer } => {
                    if let Some(copy) = writers[writer].late_copies.pop() {
                        database.add(writer, &copy);
                    }
                }
                Step::Reject { page } => {
                    let page = PAGES[page];
                    if !database.bad.remove(page) {
                        database.bad.insert(page);
                    }
                }
            }
            for (page, name) in PAGES.iter().enumerate() {
                let (shown, counted) = (&account.shown[page], database.pages.get(*name));
                let counted = counted.copied().unwrap_or_default();
                prop_assert!(shown.len() as i64 <= counted && counted <= attempted[page]);
                prop_assert!(shown.iter().all(|number| (1..=counted).contains(number)));
            }
        }
        // Once no page is rejected any more, every visitor who stayed gets a number.
        database.bad.clear();
        for (id, writer) in writers.iter_mut().enumerate() {
            while send(&mut database, id, writer, Fate::Answered, &mut account)? {}
        }
        let numbered: usize = account.shown.iter().map(BTreeSet::len).sum();
        prop_assert_eq!(numbered + account.gone.len(), arrivals as usize);
    }
}
