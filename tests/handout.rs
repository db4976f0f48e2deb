//! A model of the engine's hand-out logic: random histories of several writers on one database, in which batches are lost
//! before, during and after their commit and sent again. The real [`Batch`] numbers the views; the database is a model,
//! which `tests/system/engine.rs` compares with the real one by breaking that in the same ways.

// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use pageviews::page::Page;
use pageviews::views::batch::Batch;
use proptest::prelude::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A view of the page comes to the writer.
    Arrive { writer: usize, page: usize },
    /// The writer sends its batch: a new one of all that waits, or the one that is unconfirmed.
    Send { writer: usize, fate: Fate },
    /// A copy that was thought lost arrives after all.
    Ghost { writer: usize },
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Confirmed,
    /// It never arrived.
    LostBefore,
    /// It was committed, and the answer was lost.
    LostAfter,
    /// It is still on its way when it is given up for lost.
    Delayed,
    /// Everybody who waited has hung up, so it is given up for good.
    Abandoned,
}

const PAGES: [&str; 3] = ["/", "a", "b"];
const WRITERS: usize = 3;

/// The tables `pages` and `writers`, and the statement `ADD` of `ledger.rs`.
#[derive(Default)]
struct Database {
    pages: BTreeMap<String, i64>,
    writers: BTreeMap<usize, (i64, Vec<i64>)>,
}

impl Database {
    fn add(&mut self, writer: usize, number: i64, pages: &[String], sizes: &[i64]) -> Vec<i64> {
        let (last, totals) = self.writers.entry(writer).or_default();
        if *last >= number {
            // Only the latest is ever asked for; a ghost's answer goes nowhere.
            return totals.clone();
        }
        let add = |(page, size): (&String, &i64)| {
            let total = self.pages.entry(page.clone()).or_default();
            *total += size;
            *total
        };
        (*last, *totals) = (number, pages.iter().zip(sizes).map(add).collect());
        totals.clone()
    }
}

/// A writer, as `Engine::run` is one.
#[derive(Default)]
struct Writer {
    waiting: Vec<(Page, u32)>,
    number: i64,
    unconfirmed: Option<Batch<(usize, u32)>>,
    ghosts: Vec<(i64, Vec<String>, Vec<i64>)>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        4 => Just(Fate::Confirmed),
        1 => Just(Fate::LostBefore),
        1 => Just(Fate::LostAfter),
        1 => Just(Fate::Delayed),
        1 => Just(Fate::Abandoned),
    ];
    let step = prop_oneof![
        6 => (0..WRITERS, 0..PAGES.len()).prop_map(|(writer, page)| Step::Arrive { writer, page }),
        3 => (0..WRITERS, fate).prop_map(|(writer, fate)| Step::Send { writer, fate }),
        1 => (0..WRITERS).prop_map(|writer| Step::Ghost { writer }),
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
                    writers[writer].waiting.push((PAGES[page].parse().unwrap(), arrivals));
                }
                Step::Send { writer: id, fate } => {
                    let writer = &mut writers[id];
                    let batch = writer.unconfirmed.take().unwrap_or_else(|| {
                        writer.number += 1;
                        let view = |(page, arrival): (Page, u32)| {
                            let index = PAGES.iter().position(|name| *name == page.as_str());
                            (page, (index.unwrap_or_default(), arrival))
                        };
                        writer.waiting.drain(..).map(view).collect()
                    });
                    let pages: Vec<_> = batch.pages().into_iter().map(String::from).collect();
                    let sizes = batch.sizes();
                    prop_assert!(pages.is_sorted_by(|a, b| a < b), "rows are locked in one order");
                    match fate {
                        Fate::Confirmed => {
                            let totals = database.add(id, writer.number, &pages, &sizes);
                            let mut last = [(0, 0); PAGES.len()];
                            for ((page, arrival), number) in batch.numbered(totals) {
                                prop_assert!(shown[page].insert(number), "{} was shown twice", number);
                                prop_assert!((arrival, number) > last[page], "in the order in which they came");
                                last[page] = (arrival, number);
                            }
                        }
                        Fate::LostBefore => writer.unconfirmed = Some(batch),
                        Fate::LostAfter => {
                            database.add(id, writer.number, &pages, &sizes);
                            writer.unconfirmed = Some(batch);
                        }
                        Fate::Delayed => {
                            writer.ghosts.push((writer.number, pages, sizes));
                            writer.unconfirmed = Some(batch);
                        }
                        Fate::Abandoned => writer.ghosts.push((writer.number, pages, sizes)),
                    }
                }
                Step::Ghost { writer } => {
                    if let Some((number, pages, sizes)) = writers[writer].ghosts.pop() {
                        database.add(writer, number, &pages, &sizes);
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
