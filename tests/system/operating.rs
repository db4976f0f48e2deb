//! What the one who operates it gets to see: the log, the metrics, whether it is ready.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use pageviews::config::Profile;
use pageviews::database::{Db, NotReady};
use pageviews::private_postgres::PrivatePostgres;
use pageviews::views::{Settings, Views};
use pageviews::{health, logging};
use rocket::http::Status;
use rocket::local::asynchronous::Client;
use rocket::serde::json::{self, Value};
use rocket::tokio;
use rocket_db_pools::Database;

use crate::SOON;
use crate::common::{eventually, header, signal};
use crate::proxy::{Cut, Proxy};
use crate::support::{self, App, binary, wait};

const ID: &str = "0b6ec0d4-9f6c-4a0e-8d5e-0123456789ab";

/// The binary as it is deployed, on the database at `url`.
fn deployed(url: &str) -> Command {
    let mut command = binary();
    command
        .env("ROCKET_PROFILE", "prod")
        .env("ROCKET_ADDRESS", "127.0.0.1")
        .env("DATABASE_URL", url);
    command
}

/// The log, each line of which must be an object of the form that Caddy's have.
fn log(app: &App) -> Vec<Value> {
    let parse = |line: &String| {
        let object: Value = json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(object["ts"].as_f64().unwrap() > 1.7e9, "{line}");
        let level = object["level"].as_str().unwrap();
        assert!(["error", "warn", "info"].contains(&level), "{line}");
        assert!(!object["msg"].as_str().unwrap().is_empty(), "{line}");
        assert!(
            line.is_ascii() && !line.contains("\\u001b"),
            "decorated: {line}"
        );
        object
    };
    app.log().iter().map(parse).collect()
}

/// Whether `member` of `object` is a string that contains `part`.
fn says(object: &Value, member: &str, part: &str) -> bool {
    object[member]
        .as_str()
        .is_some_and(|text| text.contains(part))
}

/// The answer to a GET of `/` with this header, read raw: status, headers and body.
fn ask(app: &App, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(&app.address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Status line and headers, and the body.
fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap()
}

#[test]
fn in_prod_the_log_is_json_and_an_outage_is_in_it_but_no_visitor() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let mut app = App::start(&mut deployed(&server.url("pageviews")));
    app.wait_ready();
    assert_eq!(app.visit(), 1);
    let of_outage = |line: &Value| says(line, "target", "pageviews::database");
    assert!(!log(&app).iter().any(|line| line["level"] == "error"));
    // Noted, as it may have begun without its database.
    let before = log(&app).iter().filter(|line| of_outage(line)).count();

    server.stop().unwrap();
    for _ in 0..5 {
        assert_eq!(app.get("/").status_code, 503);
    }
    eventually("the outage in the log", || {
        log(&app).iter().filter(|line| of_outage(line)).count() > before
    });
    server.restart().unwrap();
    app.wait_ready();
    assert_eq!(app.visit(), 2);
    // What visitors make up is theirs alone.
    for path in ["/secret-1", "/%ff%fe", "/<secret-2>", "/%"] {
        ask(&app, path, "X-Odd: \u{fffd}");
    }
    drop(TcpStream::connect(&app.address).unwrap());
    app.get("/?secret-3");

    signal(app.id(), "TERM");
    assert_eq!(app.ended().code(), Some(0));
    eventually("the end of the log", || {
        log(&app).iter().any(|line| says(line, "msg", "SIGTERM"))
    });
    let lines = log(&app);
    let text = format!("{lines:#?}");
    assert!(!text.contains("secret"), "{text}");
    let launch: Vec<_> = lines
        .iter()
        .filter(|line| line["target"] == logging::LAUNCH)
        .collect();
    assert_eq!(launch.len(), 2, "{text}");
    assert!(launch.iter().all(|line| line["level"] == "info"), "{text}");
    assert!(says(launch[0], "msg", "profile prod"), "{text}");
    for line in lines {
        let known = line["target"] == logging::LAUNCH
            || of_outage(&line)
            || says(&line, "msg", "Received SIGTERM");
        assert!(known, "{line} in {text}");
    }
    assert_eq!(app.stderr(), "");
}

/// The templates, with a page that breaks when it is rendered.
fn broken_templates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    support::copy_templates(folder.path());
    let home = folder.path().join("home.html.j2");
    fs::write(home, "{{ number }} {{ nobody_defined_this }}").unwrap();
    folder
}

fn in_folder(templates: &Path, url: &str) -> App {
    let app = App::start(deployed(url).env("ROCKET_TEMPLATE_DIR", templates));
    app.wait_ready();
    app
}

/// The lines about requests that failed.
fn failures(app: &App) -> Vec<Value> {
    let mut lines = log(app);
    lines.retain(|line| line["target"] == "pageviews::errors");
    lines
}

#[test]
fn a_request_that_fails_is_one_line_which_its_page_refers_to() {
    let templates = broken_templates();
    let mut app = in_folder(templates.path(), &wait(support::database()));
    let answer = ask(&app, "/?secret", &format!("X-Request-Id: {ID}"));
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    let (headers, body) = parts(&answer);
    assert!(body.contains(ID), "{answer}");
    let header = format!("x-request-id: {ID}\r\n");
    assert!(headers.to_lowercase().contains(&header), "{answer}");
    for inside in ["nobody_defined_this", "panicked", "secret", "minijinja"] {
        assert!(!answer.contains(inside), "{inside} is in {answer}");
    }
    eventually("the failure in the log", || !failures(&app).is_empty());
    let lines = failures(&app);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(
        (&line["level"], &line["request_id"]),
        (&"error".into(), &ID.into())
    );
    assert_eq!(
        (&line["method"], &line["path"]),
        (&"GET".into(), &"/".into())
    );
    assert_eq!(line["status"], 500);
    let cause = |line: &Value| says(line, "msg", "home") && says(line, "target", "templates");
    assert!(
        log(&app).iter().any(cause),
        "the cause is missing: {:?}",
        app.log()
    );
    for line in app.log() {
        assert!(
            !line.contains("secret") && !line.contains("backtrace"),
            "{line}"
        );
    }

    // Without an id of Caddy's form the page refers to nothing.
    let plain = ask(&app, "/", "X: y");
    assert!(plain.starts_with("HTTP/1.1 500 "), "{plain}");
    eventually("the failure in the log", || failures(&app).len() == 2);
    let forged = [
        r#"x","level":"panic","y":""#,
        "<script>alert(1)</script>",
        "0b6ec0d4-9f6c-4a0e-8d5e-0123456789ab\tand more",
        "",
    ];
    for (known, forged) in (3..).zip(forged) {
        let answer = ask(&app, "/", &format!("X-Request-Id: {forged}"));
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert_eq!(parts(&answer).1, parts(&plain).1);
        assert!(!answer.to_lowercase().contains("x-request-id"), "{answer}");
        eventually("the failure in the log", || failures(&app).len() == known);
        assert_eq!(failures(&app)[known - 1]["request_id"], "");
    }
    // A line break inside is no header at all.
    let answer = ask(&app, "/", &format!("X-Request-Id: {ID}\r\n folded"));
    assert!(!answer.contains(ID), "{answer}");
    // The log has no line about this one, so its page refers to none.
    let answer = ask(&app, "/nowhere", &format!("X-Request-Id: {ID}"));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(!parts(&answer).1.contains(ID), "{answer}");
    assert_eq!(app.stderr(), "");
}

/// The next test runs this one in a process of its own, since a process has one log and one panic
/// hook.
#[test]
#[ignore = "a_panic_is_one_line runs it"]
#[should_panic(expected = "as a bug would")]
fn panics_as_a_bug_would() {
    let mut config = support::config("postgres://nobody@127.0.0.1:1/nothing");
    config.profile = Profile::Prod;
    logging::init(&config);
    panic!("as a bug would,\nin \"two\" lines");
}

#[test]
fn a_panic_is_one_line() {
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = support::output(
        Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "--ignored", "--exact"])
            .arg(format!("{module}::panics_as_a_bug_would"))
            .env("RUST_BACKTRACE", "1"),
    );
    let said = String::from_utf8(output.stdout).unwrap();
    let panics: Vec<_> = said
        .lines()
        .filter(|line| line.contains("panicked at"))
        .collect();
    let [line] = panics[..] else {
        panic!("{said}");
    };
    // libtest has begun a line, with the name of the test.
    let object: Value = json::from_str(&line[line.find('{').unwrap()..]).unwrap();
    assert_eq!(object["level"], "error");
    assert!(says(&object, "msg", "as a bug would, in \"two\" lines"));
    assert!(says(&object, "msg", &format!("{}:", file!())));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// What `/metrics` shows: the value of each sample, by its name and labels as they are written.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads `/metrics`, and checks it against the format:
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>.
    fn of(app: &App) -> Self {
        let answer = app.get("/metrics");
        assert_eq!(answer.status_code, 200);
        let format = header(&answer, "content-type").unwrap();
        assert_eq!(format, "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(header(&answer, "cache-control"), Some("no-store".into()));
        let text = answer.as_str().unwrap();
        assert!(text.ends_with('\n'));
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(text.ends_with('.'), "{line}");
                helped = name;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, helped, "HELP stands before TYPE");
                assert_eq!(families.insert(name, kind), None, "{name} is there once");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let of_family = ["", "_bucket", "_sum", "_count"]
                    .iter()
                    .filter_map(|suffix| name.strip_suffix(suffix))
                    .find(|family| families.contains_key(family));
                assert_eq!(of_family, Some(helped), "{line} stands below its HELP");
                check_name(name, families[helped]);
                check_labels(labels);
                let value = value.parse().unwrap();
                assert_eq!(samples.insert(series.into(), value), None, "{series}");
            }
        }
        Self(samples)
    }

    fn get(&self, series: &str) -> f64 {
        let value = self.0.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in {:#?}", self.0.keys()))
    }

    /// The routes that requests were counted for.
    fn routes(&self) -> Vec<&str> {
        let count = r#"pageviews_http_request_duration_seconds_count{route=""#;
        let mut routes: Vec<_> = self
            .0
            .keys()
            .filter_map(|series| series.strip_prefix(count)?.split('"').next())
            .collect();
        routes.dedup();
        routes
    }
}

/// By <https://prometheus.io/docs/practices/naming/>.
fn check_name(name: &str, kind: &str) {
    let allowed = |c: char| c.is_ascii_lowercase() || c == '_';
    assert!(name.starts_with("pageviews_") && name.chars().all(allowed));
    assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    for unit in ["_ms", "_milliseconds", "_micros"] {
        assert!(!name.contains(unit), "{name}: base units only");
    }
}

/// `name="value",…}`; no value here needs escapes, but routes hold commas.
fn check_labels(labels: &str) {
    let labels = labels.strip_suffix('}').unwrap();
    for label in labels
        .split_terminator("\",")
        .filter(|label| !label.is_empty())
    {
        let (name, value) = label.split_once("=\"").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{labels}");
        let value = value.trim_end_matches('"');
        assert!(!value.contains(['"', '\\']), "{labels}");
    }
}

const REQUESTS: &str = "pageviews_http_request_duration_seconds_count";

#[test]
fn the_metrics_are_what_was_done() {
    let url = wait(support::database());
    let app = App::start(&mut deployed(&url));
    app.wait_ready();
    let before = Metrics::of(&app);
    for (series, value) in [
        ("pageviews_views_total", 0.),
        ("pageviews_batch_views_count", 0.),
        ("pageviews_commit_duration_seconds_count", 0.),
        ("pageviews_queue_views", 0.),
        ("pageviews_queue_limit_views", 10_000.),
        (r#"pageviews_views_refused_total{reason="busy"}"#, 0.),
        (r#"pageviews_views_refused_total{reason="late"}"#, 0.),
        (r#"pageviews_views_refused_total{reason="stopping"}"#, 0.),
        ("pageviews_batch_retries_total", 0.),
        (
            r#"pageviews_unknown_outcomes_total{outcome="committed"}"#,
            0.,
        ),
        (
            r#"pageviews_unknown_outcomes_total{outcome="repeated"}"#,
            0.,
        ),
        ("pageviews_database_ready", 1.),
        ("pageviews_live_streams", 0.),
        (
            concat!(
                "pageviews_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"}"
            ),
            1.,
        ),
    ] {
        assert_eq!(before.get(series), value, "{series}");
    }
    assert!(before.get("pageviews_pool_connections_limit") >= 1.);
    // The question whether it is ready took one, which may be on its way back.
    let connections = ["idle", "used"]
        .map(|state| before.get(&format!(r#"pageviews_pool_connections{{state="{state}"}}"#)));
    assert_eq!(connections.iter().sum::<f64>(), 1.);

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert!(app.visit() > 0)));
        }
    });
    let hostile = ["/nowhere", "/wp-login.php", "/%00", "/a\"b", "/none?x"];
    for path in hostile.iter().cycle().take(60) {
        ask(&app, path, "X: y");
    }
    ask(&app, "/", "Sec-Purpose: prefetch");
    app.get("/style.css");
    let mut stream = TcpStream::connect(&app.address).unwrap();
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    let after = Metrics::of(&app);
    assert_eq!(after.get("pageviews_live_streams"), 1.);
    assert_eq!(after.get("pageviews_views_total"), 100.);
    assert_eq!(wait(support::counted(&url, "/")), 100);
    assert_eq!(after.get("pageviews_batch_views_sum"), 100.);
    let batches = after.get("pageviews_batch_views_count");
    assert!((1. ..=100.).contains(&batches));
    assert_eq!(
        after.get(r#"pageviews_batch_views_bucket{le="4096"}"#),
        batches
    );
    assert_eq!(
        after.get("pageviews_commit_duration_seconds_count"),
        batches
    );
    let requests = |route, status| {
        after.get(&format!(
            r#"{REQUESTS}{{route="{route}",status="{status}"}}"#
        ))
    };
    assert_eq!(requests("/", 200), 100.);
    // Nothing was refused to a visitor: there was none.
    assert_eq!(requests("/", 503), 1.);
    assert_eq!(
        after.get(r#"pageviews_views_refused_total{reason="not_ready"}"#),
        before.get(r#"pageviews_views_refused_total{reason="not_ready"}"#)
    );
    assert!(requests("none", 404) >= 30.);
    assert_eq!(requests("/style.css", 200), 1.);
    // As soon as it had begun.
    assert_eq!(requests("/live/<page..>", 200), 1.);
    assert_eq!(requests("/metrics", 200), 1., "the one before this");
    assert_eq!(
        after.routes(),
        [
            "/",
            "/live/<page..>",
            "/metrics",
            "/readyz",
            "/style.css",
            "none"
        ]
    );
}

#[test]
fn a_batch_whose_outcome_was_lost_is_in_the_metrics() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = wait(support::database());
    let proxy = runtime.block_on(Proxy::to(&url));
    let app = App::on(&proxy.url);
    app.wait_ready();
    let mut expected = 0;
    let mut visit = || {
        expected += 1;
        assert_eq!(app.visit(), expected);
    };
    for cut in [Cut::AfterCommit, Cut::Before, Cut::AfterCommit] {
        // The proxy knows a batch by a statement that was prepared before.
        visit();
        proxy.arm(cut);
        visit();
    }
    assert_eq!(proxy.cuts(), 3);
    let metrics = Metrics::of(&app);
    assert_eq!(metrics.get("pageviews_batch_retries_total"), 3.);
    let outcome = |outcome| {
        metrics.get(&format!(
            r#"pageviews_unknown_outcomes_total{{outcome="{outcome}"}}"#
        ))
    };
    assert_eq!((outcome("committed"), outcome("repeated")), (2., 1.));
    // Each view once.
    assert_eq!(metrics.get("pageviews_views_total"), 6.);
    assert_eq!(wait(support::counted(&url, "/")), 6);
}

#[test]
fn refusals_and_the_database_away_are_in_the_metrics() {
    let app = App::on("postgres://nobody@127.0.0.1:1/nothing");
    for _ in 0..3 {
        assert_eq!(app.get("/").status_code, 503);
    }
    // Who only reads has no view that could be refused.
    assert_eq!(app.get("/api/pages/").status_code, 503);
    let metrics = Metrics::of(&app);
    assert_eq!(
        metrics.get(r#"pageviews_views_refused_total{reason="not_ready"}"#),
        3.
    );
    assert_eq!(metrics.get("pageviews_database_ready"), 0.);
    assert_eq!(metrics.get("pageviews_views_total"), 0.);
    assert_eq!(
        metrics.get(&format!(r#"{REQUESTS}{{route="/",status="503"}}"#)),
        3.
    );
}

#[rocket::async_test]
async fn without_its_engine_it_is_not_ready() {
    let url = support::database().await;
    let (views, engine) = Views::new(Settings::default());
    let counting = tokio::spawn(engine.run(url.parse().unwrap(), std::future::pending()));
    let config = support::config(&url);
    let rocket = rocket::custom(&config.figment)
        .attach(Db::init())
        .attach(health::stage())
        .manage(views);
    let client = Client::untracked(rocket).await.unwrap();
    let readiness = client.rocket().state::<Views>().unwrap().readiness();
    support::eventually_async("readiness", async || {
        client.get("/readyz").dispatch().await.status() == Status::Ok
    })
    .await;
    // As a panic would.
    counting.abort();
    assert!(counting.await.is_err());
    assert_eq!(readiness.heard(), Err(NotReady::Stopped));
    let answer = client.get("/readyz").dispatch().await;
    assert_eq!(answer.status(), Status::ServiceUnavailable);
    assert_eq!(answer.into_string().await.unwrap(), "stopped\n");
}
