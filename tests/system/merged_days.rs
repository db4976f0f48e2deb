//! The days of a page that gets views of other days add up, whatever days these are.

use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::test_runner::{Config, TestRunner};
use rocket::tokio::runtime::Runtime;

use crate::importing::{days, import, is_sound};
use crate::support;

/// Days as a file has them: how many days ago, and views. `None` is no day.
type Days = BTreeMap<Option<u8>, i64>;

fn csv(days: &Days) -> String {
    let line = |(ago, views): (&Option<u8>, &i64)| match ago {
        None => format!("readme,,{views}\n"),
        Some(ago) => format!("readme,2026-01-{:02},{views}\n", 31 - ago),
    };
    let lines: String = days.iter().map(line).collect();
    format!("page,day,views\n{lines}")
}

#[test]
fn days_of_two_histories_add_up() {
    let days_of_a_page = btree_map(proptest::option::of(0..8_u8), 1..100_i64, 1..8);
    let mut runner = TestRunner::new(Config {
        cases: 12,
        failure_persistence: None,
        ..Config::default()
    });
    let runtime = Runtime::new().unwrap();
    let both = (days_of_a_page.clone(), days_of_a_page);
    let adds_up = runner.run(&both, |(first, second)| {
        let url = runtime.block_on(support::database());
        assert_eq!(import(&url, &csv(&first), &[]).0, 0);
        assert_eq!(import(&url, &csv(&second), &["--add"]).0, 0);
        let mut sum = first.clone();
        for (ago, views) in second {
            *sum.entry(ago).or_default() += views;
        }
        let mut expected: Vec<_> = csv(&sum).lines().skip(1).map(String::from).collect();
        expected.sort();
        assert_eq!(days(&url), expected);
        is_sound(&url);
        Ok(())
    });
    adds_up.unwrap();
}
