//! The operator's commands of the real binary.

use sqlx::Row;

use crate::common::answer::value;
use crate::common::eventually;
use crate::support::{self, App, wait};

/// Runs a command on the database at `url`. Returns its exit code and its output.
fn run(url: &str, arguments: &[&str]) -> (i32, String) {
    support::run(url, r#"["readme", "blog/*"]"#, arguments)
}

#[test]
fn a_page_goes_on_from_the_number_that_was_set() {
    let url = wait(support::database());
    // The database is empty: the commands migrate it themselves.
    assert_eq!(run(&url, &["get", "/"]), (0, "0".into()));
    assert_eq!(run(&url, &["set", "/", "1000"]), (0, "/: 0 -> 1000".into()));
    let app = App::on(&url);
    app.wait_ready();
    assert_eq!(app.visit(), 1001);
    assert_eq!(
        run(&url, &["set", "/", "5000"]),
        (0, "/: 1001 -> 5000".into())
    );
    assert_eq!(app.visit(), 5001);
    assert_eq!(run(&url, &["get", "/"]), (0, "5001".into()));
    // `set` adds no views to today. The page reads the history at most once a second.
    let mut last = 5001;
    eventually("today's views", || {
        let html = app.get("/");
        let html = html.as_str().unwrap();
        last = support::number(html);
        value(html, "today") == Some(last - 4999)
    });
    assert_eq!(run(&url, &["export"]), (0, format!("page,views\n/,{last}")));
    let (code, days) = run(&url, &["export", "--days"]);
    let lines: Vec<_> = days.lines().collect();
    // The views that were set belong to no day.
    assert_eq!(
        (code, lines.len(), &lines[..2]),
        (0, 3, &["page,day,views", "/,,4999"][..])
    );
    assert!(
        lines[2].starts_with("/,20") && lines[2].ends_with(&format!(",{}", last - 4999)),
        "{days}"
    );
}

#[test]
fn a_number_is_repeated_only_with_the_flag_that_says_so() {
    let url = wait(support::database());
    assert_eq!(run(&url, &["set", "readme", "70"]).0, 0);
    let days =
        "INSERT INTO days SELECT 'readme', (now() AT TIME ZONE 'UTC')::date - ago, 70 - ago * 10
                FROM generate_series(0, 3) AS ago";
    wait(async {
        let mut admin = support::connect(&url).await;
        sqlx::query(days).execute(&mut admin).await.unwrap()
    });
    let (code, said) = run(&url, &["set", "readme", "25"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("up to 70") && said.contains("--repeat-numbers"),
        "{said}"
    );
    assert_eq!(run(&url, &["get", "readme"]), (0, "70".into()));

    assert_eq!(run(&url, &["set", "readme", "25", "--repeat-numbers"]).0, 0);
    // The newest days keep their views, and the days add up to the new total.
    let before = wait(async {
        sqlx::query("SELECT array_agg(views_before ORDER BY day) FROM days")
            .fetch_one(&mut support::connect(&url).await)
            .await
            .unwrap()
            .get::<Vec<i64>, _>(0)
    });
    assert_eq!(before, [0, 5, 15, 25]);
}

#[test]
fn list_is_a_table_for_people() {
    let url = wait(support::database());
    for (page, views) in [("/", "1234567"), ("blog/a", "8")] {
        assert_eq!(run(&url, &["set", page, views]).0, 0);
    }
    let expected = "\
page        views  today
/       1,234,567      0
blog/a          8      0";
    assert_eq!(run(&url, &["list"]), (0, expected.into()));
}

#[test]
fn a_command_that_cannot_be_done_says_why_in_one_line() {
    let url = wait(support::database());
    for (arguments, code, part) in [
        (&["get", "other"][..], 1, "add it to `pages`"),
        (&["set", "other", "1"], 1, "add it to `pages`"),
        (&["set", "readme", "-1"], 2, "-1"),
        (&["set", "readme", "many"], 2, "many"),
        (
            &["set", "readme", "1000000000000001"],
            2,
            "1000000000000001",
        ),
        (&["get", "a b"], 2, "not the name of a page"),
        (&["get", "../x"], 2, "not the name of a page"),
        (&["get"], 2, "PAGE"),
    ] {
        let (found, said) = run(&url, arguments);
        assert_eq!(found, code, "{arguments:?}: {said}");
        assert!(
            said.contains(part) && !said.contains("panicked"),
            "{arguments:?}: {said}"
        );
        assert!(code == 2 || said.lines().count() == 1, "{said}");
    }
    assert_eq!(wait(support::rows(&url)), 0);
    let (code, said) = run("postgres://nobody@127.0.0.1:1/nothing", &["get", "/"]);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.contains("unreachable"), "{said}");
}
