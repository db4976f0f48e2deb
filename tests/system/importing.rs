//! Views move in: `import`, also of what `export` wrote.

use std::io::Write;
use std::process::Stdio;

use crate::support::{self, App, binary, wait};

pub const PAGES: &str = r#"["readme", "blog/*", "=1+1"]"#;

/// Runs a command on the database at `url`. Returns its exit code and its output.
pub fn run(url: &str, arguments: &[&str]) -> (i32, String) {
    support::run(url, PAGES, arguments)
}

/// Imports a file with these lines.
pub fn import(url: &str, lines: &str, options: &[&str]) -> (i32, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    run(url, &[&["import", path], options].concat())
}

/// What `export --days` writes, without the head.
pub fn days(url: &str) -> Vec<String> {
    let (code, csv) = run(url, &["export", "--days"]);
    assert_eq!(code, 0, "{csv}");
    csv.lines().skip(1).map(String::from).collect()
}

fn today(url: &str) -> String {
    wait(async {
        let today = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')";
        let today = sqlx::query_scalar(today);
        today
            .fetch_one(&mut support::connect(url).await)
            .await
            .unwrap()
    })
}

/// Each page knows its last day, and how many views it had before. No day has less than none.
pub fn is_sound(url: &str) {
    wait(async {
        let wrong: Vec<String> = sqlx::query_scalar(
            "SELECT page FROM pages LEFT JOIN LATERAL (
                SELECT day, views_before FROM days WHERE days.page = pages.page
                ORDER BY day DESC LIMIT 1
             ) AS last ON true
             WHERE last_day IS DISTINCT FROM last.day OR (
                last.day IS NOT NULL
                AND (views_before_last_day <> last.views_before OR views < last.views_before)
             )
             UNION ALL SELECT page FROM days WHERE page NOT IN (SELECT page FROM pages)
             UNION ALL SELECT 'page_count' FROM page_count
             WHERE pages <> (SELECT count(*) FROM pages)
             UNION ALL SELECT page FROM (
                SELECT page, views_before,
                    lag(views_before, 1, 0) OVER (PARTITION BY page ORDER BY day) AS earlier
                FROM days
             ) AS each WHERE views_before < earlier",
        )
        .fetch_all(&mut support::connect(url).await)
        .await
        .unwrap();
        assert_eq!(wrong, [""; 0]);
    });
}

#[test]
fn what_export_wrote_goes_back_in() {
    let from = wait(support::database());
    assert_eq!(run(&from, &["set", "blog/é", "1000"]).0, 0);
    assert_eq!(run(&from, &["set", "=1+1", "7"]).0, 0);
    let app = App::start(support::deployed(&from).env("ROCKET_PAGES", PAGES));
    app.wait_ready();
    for path in ["/", "/", "/badge/blog/%C3%A9.svg", "/badge/readme.svg"] {
        assert_eq!(app.get(path).status_code, 200);
    }
    for export in [&["export"][..], &["export", "--days"]] {
        let (_, csv) = run(&from, export);
        let to = wait(support::database());
        let (code, said) = import(&to, &csv, &[]);
        assert_eq!(
            (code, said.as_str()),
            (0, "imported 1,011 views of 4 pages")
        );
        assert_eq!(run(&to, export), (0, csv));
        assert_eq!(run(&to, &["export"]), run(&from, &["export"]));
        is_sound(&to);
    }
    let (_, csv) = run(&from, &["export", "--days"]);
    let today = today(&from);
    for line in [
        "/=1+1,,7".to_string(),
        "blog/é,,1000".to_string(),
        format!("blog/é,{today},1"),
        format!("/,{today},2"),
    ] {
        assert!(csv.lines().any(|found| found == line), "{line}: {csv}");
    }
}

#[test]
fn a_page_goes_on_from_the_views_that_were_imported() {
    let url = wait(support::database());
    let csv = "Page , Views ,other\n/,1000,x\n/blog/a/,5,x\nblog/%61,6,x\n\"blog/b\",0,x\n";
    let (code, said) = import(&url, csv, &["--dry-run"]);
    let expected = "would import 1,011 views of 3 pages; nothing was changed";
    assert_eq!((code, said.as_str()), (0, expected));
    assert_eq!(run(&url, &["export"]).1, "page,views");
    assert_eq!(import(&url, csv, &[]).0, 0);
    let app = App::on(&url);
    app.wait_ready();
    assert_eq!(app.visit(), 1001);
    assert_eq!(run(&url, &["get", "blog/a"]), (0, "11".into()));
    is_sound(&url);
}

#[test]
fn a_page_that_has_views_gets_more_only_if_that_is_said() {
    let url = wait(support::database());
    let app = App::on(&url);
    app.wait_ready();
    assert_eq!((app.visit(), app.visit()), (1, 2));
    let today = today(&url);
    let csv =
        format!("page,day,views\nblog/a,,1\n/,2025-01-31,100\n/,{today},10\n/,2024-02-29,7\n");
    let (code, said) = import(&url, &csv, &[]);
    assert_eq!(code, 1);
    assert!(
        said.contains("/ has 2 views already") && said.contains("--add"),
        "{said}"
    );
    assert_eq!(run(&url, &["export"]).1, "page,views\n/,2");
    let (code, said) = import(&url, &csv, &["--add"]);
    let expected = "imported 118 views of 2 pages; 1 of the pages had views, and have more now";
    assert_eq!((code, said.as_str()), (0, expected));
    assert_eq!(
        days(&url),
        [
            "/,2024-02-29,7".into(),
            "/,2025-01-31,100".into(),
            format!("/,{today},12"),
            "blog/a,,1".into()
        ]
    );
    assert_eq!(app.visit(), 120);
    assert_eq!(days(&url)[2], format!("/,{today},13"));
    is_sound(&url);
}

#[test]
fn wrong_lines_are_named_and_nothing_is_imported() {
    let url = wait(support::database());
    let wrong = "page,day,views\nblog/a,2026-01-01,1\nblog/a b,2026-01-01,1\nother,2026-01-01,1\n\
                 blog/a,2026-02-29,1\nblog/a,9999-01-01,1\nblog/a,2026-01-01,-1\n\
                 blog/a,2026-01-01\n/,1.1.2026,1\n/,0000-01-01,1\n/,+2026-01-01,1\n\
                 /,-2026-01-01,1\n";
    let (code, said) = import(&url, wrong, &[]);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    for part in [
        "nothing was imported",
        "line 3: \"blog/a b\" is not the name of a page",
        "line 4: other is not counted; add it to ROCKET_PAGES",
        "line 5: \"2026-02-29\" is not a day such as 2026-01-31",
        "line 6: 9999-01-01 is still to come",
        "line 7: \"-1\" is not a whole number",
        "and 5 more wrong lines",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for (wrong, part) in [
        ("", "line 1 has to name the columns page and views"),
        (
            "page;views\n/;1\n",
            "with commas between them; it is \"page;views\"",
        ),
        ("/,1\n", "line 1 has to name the columns"),
        ("page,views\n/,1000000000000001\n", "line 2: "),
        ("page,views\r\n/,1\r\n\r\n/,x\r\n", "line 4: \"x\""),
        ("page,views\n\n\n/,1\n\n/,x\n", "line 6: \"x\""),
        ("page,views\r/,1\r/,x", "line 3: \"x\""),
        ("page,title,views\n/,\"a\nb\",1\n/,,x\n", "line 4: \"x\""),
        (
            "page,views\n/,1,234\n",
            "line 2: it has 3 columns, and line 1 has 2",
        ),
        (
            "page,views\n/,1000000000000000\n//,1\n",
            "/ would have more than",
        ),
    ] {
        let (code, said) = import(&url, wrong, &[]);
        assert_eq!(code, 1, "{wrong}: {said}");
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = run(&url, &["import", "/nowhere.csv"]);
    assert!(
        code == 1 && said.contains("cannot read /nowhere.csv"),
        "{said}"
    );
    assert_eq!(run(&url, &["export"]).1, "page,views");
    is_sound(&url);
}

#[test]
fn an_import_that_is_durable_has_not_failed() {
    let url = wait(support::database());
    assert_eq!(run(&url, &["set", "readme", "1"]).0, 0);
    let locked = wait(support::lock(&url, "page_count"));
    let (code, said) = import(&url, "page,views\nblog/a,5\n", &[]);
    drop(locked);
    let expected = "imported 5 views of 1 page\nthe new pages do not count towards";
    assert!(code == 0 && said.starts_with(expected), "{code}: {said}");
    assert_eq!(run(&url, &["get", "blog/a"]), (0, "5".into()));
}

#[test]
fn no_import_makes_more_pages_than_may_be() {
    let url = wait(support::database());
    let lines: String = (0..12_000).map(|n| format!("blog/{n},1\n")).collect();
    let mut import = binary();
    import
        .args(["import", "-"])
        .env("DATABASE_URL", &url)
        .env("ROCKET_PAGES", PAGES)
        .env("ROCKET_PAGE_LIMIT", "11999");
    let mut child = import
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = format!("page,views\n{lines}");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("12,000 pages") && said.contains("ROCKET_PAGE_LIMIT"),
        "{said}"
    );
    assert_eq!(wait(support::rows(&url)), 0);
    let (code, said) = self::import(&url, &format!("page,views\n{lines}"), &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(wait(support::rows(&url)), 12_000);
    is_sound(&url);
}
