//! One stream follows several pages: browsers hold six connections to a host over HTTP/1.1.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Instant;

use rocket::serde::json::{self, Value};

use crate::common::Stream;
use crate::support::{self, App, binary, wait};

fn app(pages: &str) -> App {
    let url = wait(support::database());
    let app = App::start(binary().env("DATABASE_URL", url).env("ROCKET_PAGES", pages));
    app.wait_ready();
    app
}

/// The page and the views in the next message.
fn next(stream: &mut Stream) -> (String, i64) {
    let data = stream.message().expect("the stream goes on");
    let message: Value = json::from_str(&data).unwrap();
    let (page, views) = (message["page"].as_str(), message["views"].as_i64());
    assert_eq!(message.as_object().unwrap().len(), 2, "{data}");
    (page.unwrap().to_string(), views.unwrap())
}

fn post(app: &App, page: &str) {
    let answer = minreq::post(app.url(&format!("/api/pages/{page}")));
    assert_eq!(answer.with_timeout(10).send().unwrap().status_code, 201);
}

#[test]
fn a_stream_of_several_pages_has_the_total_of_each_and_then_each_change() {
    let app = app(r#"["readme", "blog/*"]"#);
    assert_eq!([app.visit(), app.visit()], [1, 2]);
    post(&app, "readme");
    let query = "/live?page=/&page=readme&page=blog%2Fa&utm=x&page=readme&page=%72eadme";
    let mut stream = Stream::open(&app.url(query));
    let first: BTreeMap<_, _> = (0..3).map(|_| next(&mut stream)).collect();
    let expected = [("/", 2), ("readme", 1), ("blog/a", 0)];
    assert_eq!(
        first,
        expected
            .map(|(page, views)| (page.to_string(), views))
            .into()
    );
    // A page that was named several times has one message, or one of these would be another.
    for (page, views) in [
        ("blog/a", 1),
        ("readme", 2),
        ("readme", 3),
        ("blog/b", 0),
        ("/", 3),
    ] {
        match page {
            "/" => assert_eq!(app.visit(), views),
            page => post(&app, page),
        }
        if page != "blog/b" {
            assert_eq!(next(&mut stream), (page.to_string(), views));
        }
    }
}

#[test]
fn the_form_of_a_message_is_that_of_the_query() {
    let app = app(r#"["readme"]"#);
    for (path, message) in [
        ("/live", "0"),
        ("/live?other=readme", "0"),
        ("/live/readme", "0"),
        ("/live/readme?page=/", "0"),
        ("/live?page=readme", r#"{"page":"readme","views":0}"#),
        ("/live?page=%2F", r#"{"page":"/","views":0}"#),
    ] {
        let mut stream = Stream::open(&app.url(path));
        assert_eq!(stream.message().as_deref(), Some(message), "{path}");
    }
}

#[test]
fn a_query_with_an_unknown_page_or_too_many_pages_is_refused() {
    let app = app(r#"["readme", "blog/*"]"#);
    for query in [
        "page=other",
        "page=",
        "page",
        "page=/&page=readme&page=other",
        "page=/other/",
        "page=a%20b",
        "page=blog/..",
        "page=%ff",
        "page=%00",
    ] {
        let answer = app.get(&format!("/live?{query}"));
        assert_eq!(answer.status_code, 404, "{query}");
    }
    let query = |pages: usize| {
        let names = (0..pages).map(|page| format!("page=blog/{page}&page=blog%2F{page}"));
        format!("/live?{}", names.collect::<Vec<_>>().join("&"))
    };
    let mut stream = Stream::open(&app.url(&query(32)));
    let pages: BTreeSet<_> = (0..32).map(|_| next(&mut stream)).collect();
    assert_eq!(pages.len(), 32);
    let answer = app.get(&query(33));
    assert_eq!(answer.status_code, 422);
    assert!(answer.as_str().unwrap().contains("up to 32 pages"));
}

#[test]
fn many_views_of_several_pages_are_a_few_messages_about_each() {
    let app = app(r#"["a", "b"]"#);
    let mut stream = Stream::open(&app.url("/live?page=a&page=b"));
    let begun = Instant::now();
    let views = 200;
    let mut messages = BTreeMap::<String, u128>::new();
    thread::scope(|scope| {
        for page in ["a", "b"] {
            let app = &app;
            scope.spawn(move || (0..views).for_each(|_| post(app, page)));
        }
        let mut complete = BTreeSet::new();
        while complete.len() < 2 {
            let (page, total) = next(&mut stream);
            *messages.entry(page.clone()).or_default() += 1;
            if total == views {
                complete.insert(page);
            }
        }
    });
    // At most four messages a second, and the first one.
    let most = begun.elapsed().as_millis() / 250 + 1;
    for (page, messages) in messages {
        assert!(
            messages <= most,
            "{messages} messages about {page}, at most {most}"
        );
    }
}
