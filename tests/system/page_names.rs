//! Every spelling in which sites and scripts name one page is that page, wherever a name stands.

use std::collections::BTreeMap;

use rocket::serde::json::{self, Value};
use sqlx::Row;

use crate::common::{Stream, eventually, header};
use crate::support::{self, App, binary, output, wait};

/// Spellings of one page in a URL's path. The last two are what `encodeURIComponent` makes of
/// `location.pathname`, and of a path with a letter in two parts.
const SPELLINGS: [&str; 9] = [
    "%E5%8D%9A%E5%AE%A2/caf%C3%A9",
    "%e5%8d%9a%e5%ae%a2/caf%c3%a9",
    "%E5%8D%9A%E5%AE%A2%2Fcaf%C3%A9",
    "/%E5%8D%9A%E5%AE%A2/caf%C3%A9",
    "%E5%8D%9A%E5%AE%A2//caf%C3%A9",
    "%E5%8D%9A%E5%AE%A2/caf%C3%A9/",
    "%2F%E5%8D%9A%E5%AE%A2%2F%2Fcaf%C3%A9%2F",
    "%2F%25E5%258D%259A%25E5%25AE%25A2%2Fcaf%25C3%25A9",
    "%E5%8D%9A%E5%AE%A2/cafe%CC%81",
];

const NAME: &str = "博客/café";

fn start(url: &str, pages: &str) -> App {
    let app = App::start(binary().env("DATABASE_URL", url).env("ROCKET_PAGES", pages));
    app.wait_ready();
    app
}

fn post(app: &App, path: &str) -> (u16, Value) {
    let answer = minreq::post(app.url(&format!("/api/pages/{path}")));
    let answer = answer.with_timeout(10).send().unwrap();
    let body = json::from_str(answer.as_str().unwrap()).unwrap();
    (answer.status_code, body)
}

#[test]
fn every_spelling_in_a_url_is_one_page() {
    let url = wait(support::database());
    // The setting spells the pattern in yet another way.
    let app = start(&url, r#"["/博客/*"]"#);
    let mut views = 0;
    for spelling in SPELLINGS {
        let (status, view) = post(&app, spelling);
        views += 1;
        assert_eq!((status, &view["page"]), (201, &NAME.into()), "{spelling}");
        assert_eq!(view["number"], views, "{spelling}");

        let badge = app.get(&format!("/badge/{spelling}.svg"));
        views += 1;
        let title = format!("<title>views: {views}</title>");
        assert!(badge.as_str().unwrap().contains(&title), "{spelling}");

        let read = app.get(&format!("/api/pages/{spelling}"));
        let read: Value = json::from_str(read.as_str().unwrap()).unwrap();
        assert_eq!(
            (&read["page"], &read["views"]),
            (&NAME.into(), &views.into())
        );

        let mut live = Stream::open(&app.url(&format!("/live/{spelling}")));
        assert_eq!(live.message(), Some(views.to_string()), "{spelling}");

        let mut live = Stream::open(&app.url(&format!("/live?page={spelling}")));
        let message: Value = json::from_str(&live.message().unwrap()).unwrap();
        assert_eq!(message, json::json!({"page": NAME, "views": views}));
    }
    assert_eq!(
        wait(support::counts(&url)),
        BTreeMap::from([(NAME.to_string(), views)])
    );
    // The database agrees on the form.
    let composed = wait(async {
        sqlx::query("SELECT page IS NFC NORMALIZED FROM pages")
            .fetch_one(&mut support::connect(&url).await)
            .await
            .unwrap()
            .get::<bool, _>(0)
    });
    assert!(composed);
}

#[test]
fn the_answer_to_a_view_says_where_its_count_is() {
    let app = start(&wait(support::database()), r#"["*"]"#);
    for (spelling, location) in [
        ("", "/api/pages/"),
        ("//", "/api/pages/"),
        ("cafe%CC%81/", "/api/pages/caf%C3%A9"),
        ("a:b@c;d=e,f'(g)*!$&+h", "/api/pages/a:b@c;d=e,f'(g)*!$&+h"),
    ] {
        let answer = minreq::post(app.url(&format!("/api/pages/{spelling}")));
        let answer = answer.with_timeout(10).send().unwrap();
        assert_eq!(answer.status_code, 201, "{spelling}");
        assert_eq!(header(&answer, "location").as_deref(), Some(location));
        let (view, read) = (
            json::from_str::<Value>(answer.as_str().unwrap()).unwrap(),
            app.get(location),
        );
        let read: Value = json::from_str(read.as_str().unwrap()).unwrap();
        assert_eq!(
            (&view["page"], &view["number"]),
            (&read["page"], &read["views"])
        );
    }
}

#[test]
fn what_is_no_name_is_not_found_and_not_counted() {
    let url = wait(support::database());
    let app = start(&url, r#"["*"]"#);
    for path in [
        "a%20b",
        "a+b%3Fc",
        "a%23b",
        "%2e%2e",
        "a/%252e%252e/b",
        "%FF",
        "%25FF",
        "%252525",
        "a%E2%80%8Bb",
        "%E2%80%AEa",
        "%EF%BB%BFa",
        "a%00",
        "%3Cscript%3E",
        &"a".repeat(201),
        &"%F0%9F%98%80".repeat(151),
    ] {
        assert_eq!(post(&app, path).0, 404, "{path}");
        assert_eq!(app.get(&format!("/live/{path}")).status_code, 404, "{path}");
        let badge = app.get(&format!("/badge/{path}.svg"));
        assert_eq!(badge.status_code, 404, "{path}");
    }
    assert_eq!(wait(support::rows(&url)), 0);
}

#[test]
fn commands_and_settings_take_every_spelling_and_show_one() {
    let url = wait(support::database());
    let run = |arguments: &[&str]| {
        let pages = r#"["博客//*", "a%2Ab", "=1+1"]"#;
        let mut command = binary();
        command.args(arguments).env("ROCKET_PAGES", pages);
        let ended = output(command.env("DATABASE_URL", &url));
        let said = [ended.stdout, ended.stderr].concat();
        (
            ended.status.code().unwrap(),
            String::from_utf8(said).unwrap().trim_end().to_string(),
        )
    };
    let set = run(&["set", "/%E5%8D%9A%E5%AE%A2/cafe\u{301}/", "12"]);
    assert_eq!(set, (0, format!("{NAME}: 0 -> 12")));
    assert_eq!(run(&["set", "a*b", "3"]), (0, "a*b: 0 -> 3".into()));
    assert_eq!(run(&["get", "//博客/café"]), (0, "12".into()));
    assert_eq!(
        run(&["export"]),
        (0, format!("page,views\na*b,3\n{NAME},12"))
    );
    let list = "page     views  today\na*b          3      0\n博客/café     12      0";
    assert_eq!(run(&["list"]), (0, list.into()));

    // A spreadsheet would calculate this one.
    assert_eq!(run(&["set", "=1+1", "4"]).0, 0);
    assert_eq!(run(&["get", "/=1+1"]), (0, "4".into()));
    let (_, table) = run(&["export"]);
    assert!(table.contains("\n/=1+1,4\n"), "{table}");

    let (code, error) = run(&["get", "c*"]);
    assert_eq!(code, 1);
    let remedy = r#"ROCKET_PAGES='["博客/*", "a%2Ab", "=1+1", "c%2A"]'"#;
    assert!(error.contains(remedy), "{error}");
    let (code, error) = run(&["get", "a b"]);
    assert_eq!(code, 2);
    for part in [
        "'a b'",
        "not the name of a page",
        "200 characters",
        "600 bytes",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }

    let app = start(&url, r#"["博客/*", "a%2Ab", "=1+1"]"#);
    for (path, part) in [
        ("/api/pages/a%20b", "not the name of a page: "),
        ("/pages/a%20b", "not the name of a page: "),
        ("/badge/a%20b.svg", "not the name of a page: "),
        ("/live/a%20b", "not the name of a page: "),
        ("/api/pages/other", "No page of this name is counted"),
        ("/badge/other.svg", "No page of this name is counted"),
        ("/badge/other", "No page of this name is counted"),
    ] {
        let answer = minreq::get(app.url(path)).with_header("Accept", "application/json");
        let answer = answer.send().unwrap();
        assert_eq!(answer.status_code, 404, "{path}");
        assert!(answer.as_str().unwrap().contains(part), "{path}");
    }
    let unlisted = || -> Value { json::from_str(app.get("/configz").as_str().unwrap()).unwrap() };
    eventually("no page is unlisted", || {
        unlisted()
            == json::json!({
                "counted": ["/", "博客/*", "a%2Ab", "=1+1"],
                "unlisted": {"count": 0, "examples": []},
            })
    });
}
