//! The outbox under random histories: batches of several writers are lost before, during and after
//! their commit, and sent again.
//!
//! The outbox and the numbering are the real ones. The database is a model of the statement in
//! `src/counter/ledger.rs`. `tests/system/exactly_once.rs` breaks the real one in the same ways.

// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use pageviews::counter::outbox::Outbox;
use pageviews::page::PageName;
use proptest::prelude::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A view of the page comes to the writer.
    Arrive { writer: usize, page: usize },
    /// The writer sends what is in its outbox. An empty outbox is filled with what waits.
    Send { writer: usize, fate: Fate },
    /// Every visitor of the batch in the outbox hangs up.
    HangUp { writer: usize },
    /// A copy that was thought to be lost arrives after all.
    LateCopy { writer: usize },
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Confirmed,
    /// It never arrived.
    LostBefore,
    /// It was committed, and the answer was lost.
    LostAfter,
    /// It was still on its way when it was given up.
    Delayed,
}

const PAGES: [&str; 3] = ["/", "a", "b"];
const WRITERS: usize = 3;

/// A copy of a batch: its number, pages and sizes.
type Copy = (i64, Vec<String>, Vec<i64>);

/// The tables `pages` and `writers`, and the statement that adds a batch.
#[derive(Default)]
struct Database {
    pages: BTreeMap<String, i64>,
    writers: BTreeMap<usize, (i64, Vec<i64>)>,
}

impl Database {
    /// The totals that the batch made, and whether it was committed before.
    fn add(&mut self, writer: usize, (number, pages, sizes): &Copy) -> (Vec<i64>, bool) {
        let (last, totals) = self.writers.entry(writer).or_default();
        if *last >= *number {
            return (totals.clone(), true);
        }
        let add = |(page, size): (&String, &i64)| {
            let total = self.pages.entry(page.clone()).or_default();
            *total += size;
            *total
        };
        (*last, *totals) = (*number, pages.iter().zip(sizes).map(add).collect());
        (totals.clone(), false)
    }
}

/// A view: its page, and its place among all that came.
type View = (usize, u32);

#[derive(Default)]
struct Writer {
    waiting: Vec<(PageName, View)>,
    outbox: Outbox<View>,
    late_copies: Vec<Copy>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        4 => Just(Fate::Confirmed),
        1 => Just(Fate::LostBefore),
        1 => Just(Fate::LostAfter),
        1 => Just(Fate::Delayed),
    ];
    let writer = 0..WRITERS;
    let step = prop_oneof![
        6 => (writer.clone(), 0..PAGES.len())
            .prop_map(|(writer, page)| Step::Arrive { writer, page }),
        3 => (writer.clone(), fate).prop_map(|(writer, fate)| Step::Send { writer, fate }),
        1 => writer.clone().prop_map(|writer| Step::HangUp { writer }),
        1 => writer.prop_map(|writer| Step::LateCopy { writer }),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn acknowledged_at_most_counted_at_most_attempted_and_no_number_twice(steps in steps()) {
        let mut database = Database::default();
        let mut writers: [Writer; WRITERS] = std::array::from_fn(|_| Writer::default());
        let mut attempted = [0_i64; PAGES.len()];
        let mut shown = [const { BTreeSet::new() }; PAGES.len()];
        let mut arrivals = 0;
        for step in steps {
            match step {
                Step::Arrive { writer, page } => {
                    attempted[page] += 1;
                    arrivals += 1;
                    writers[writer].waiting.push((PAGES[page].parse().unwrap(), (page, arrivals)));
                }
                Step::Send { writer: id, fate } => {
                    let Writer { waiting, outbox, late_copies } = &mut writers[id];
                    if outbox.next().is_none() {
                        outbox.fill(waiting.drain(..));
                    }
                    let outgoing = outbox.next().unwrap();
                    let pages = outgoing.batch.pages().into_iter().map(String::from).collect();
                    let copy: Copy = (outgoing.number, pages, outgoing.batch.sizes());
                    let (number, again) = (outgoing.number, outgoing.again);
                    prop_assert!(copy.1.is_sorted_by(|a, b| a < b), "rows are locked in one order");
                    match fate {
                        Fate::Confirmed => {
                            let (totals, committed_before) = database.add(id, &copy);
                            prop_assert!(again || !committed_before, "its number is new");
                            let mut last = [(0, 0); PAGES.len()];
                            for ((page, arrival), number) in outbox.confirmed(totals) {
                                prop_assert!(shown[page].insert(number), "twice: {}", number);
                                prop_assert!((arrival, number) > last[page], "out of order");
                                last[page] = (arrival, number);
                            }
                            prop_assert!(outbox.next().is_none(), "a confirmed batch is done with");
                        }
                        Fate::LostBefore => outbox.failed(),
                        Fate::LostAfter => {
                            database.add(id, &copy);
                            outbox.failed();
                        }
                        Fate::Delayed => {
                            late_copies.push(copy);
                            outbox.failed();
                        }
                    }
                    if !matches!(fate, Fate::Confirmed) {
                        let kept = outbox.next().map(|outgoing| (outgoing.number, outgoing.again));
                        prop_assert_eq!(kept, Some((number, true)), "it keeps its number");
                    }
                }
                Step::HangUp { writer } => writers[writer].outbox.abandon_if(|_| true),
                Step::LateCopy { writer } => {
                    if let Some(copy) = writers[writer].late_copies.pop() {
                        database.add(writer, &copy);
                    }
                }
            }
            for (page, name) in PAGES.iter().enumerate() {
                let counted = database.pages.get(*name).copied().unwrap_or_default();
                prop_assert!(shown[page].len() as i64 <= counted && counted <= attempted[page]);
                prop_assert!(shown[page].iter().all(|number| (1..=counted).contains(number)));
            }
        }
    }
}
