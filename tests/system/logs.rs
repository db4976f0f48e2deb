//! The log in production has one JSON object per line. It holds outages and failures, but nothing
//! that a visitor made up.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pageviews::logging;
use private_postgres::PrivatePostgres;
use rocket::serde::json::{self, Value};
use rustix::net::sockopt::set_socket_linger;

use crate::common::connection::Connection;
use crate::common::{eventually, hostile, signal};
use crate::support::{self, App, ask, deployed, wait};

/// The full name of a test that holds a program for seconds. The program would run on without its
/// database and without a reader of its log.
pub const LONG: &str = "logs::the_log_of_an_outage_is_json_and_holds_no_visitor";

const ID: &str = "0b6ec0d4-9f6c-4a0e-8d5e-0123456789ab";

/// The log. Each line must be a JSON object of the same form as Caddy's.
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

/// Status line and headers, and the body.
fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap()
}

#[test]
fn the_log_of_an_outage_is_json_and_holds_no_visitor() {
    let server = PrivatePostgres::ephemeral().unwrap();
    let mut app = App::start(&mut deployed(&server.url("pageviews")));
    app.wait_ready();
    assert_eq!(app.visit(), 1);
    let of_outage = |line: &Value| says(line, "target", "pageviews::database");
    assert!(!log(&app).iter().any(|line| line["level"] == "error"));
    // There may be some already, if the program was faster than its database.
    let before = log(&app).iter().filter(|line| of_outage(line)).count();

    server.stop().unwrap();
    for status in [504, 503, 503, 503, 503] {
        assert_eq!(app.get("/").status_code, status);
    }
    eventually("the outage in the log", || {
        log(&app).iter().filter(|line| of_outage(line)).count() > before
    });
    server.restart().unwrap();
    app.wait_ready();
    assert_eq!(app.visit(), 2);
    // None of this may reach the log.
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

/// Sends the start of a request, and resets the connection.
fn abort(app: &App, start: &[u8]) {
    let mut stream = TcpStream::connect(&app.address).unwrap();
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    // The program may close the connection first.
    let _ = stream.write_all(start);
}

/// Makes each batch take longer than the second after which sqlx logs a statement as slow.
async fn slow_down(url: &str) {
    let trigger = "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_sleep(1.1); RETURN NULL; END';
        CREATE TRIGGER doze AFTER INSERT OR UPDATE ON pages EXECUTE FUNCTION doze()";
    let mut connection = support::connect(url).await;
    sqlx::raw_sql(trigger)
        .execute(&mut connection)
        .await
        .unwrap();
}

#[test]
fn hostile_requests_and_slow_statements_write_no_line() {
    let url = wait(support::database());
    let mut app = App::start(deployed(&url).env("ROCKET_PAGES", r#"["readme"]"#));
    app.wait_ready();
    for case in hostile::cases(false) {
        Connection::to(&app.address).ask(&case.request).unwrap();
        abort(&app, &case.request[..case.request.len() / 2]);
    }
    // Rocket reads the start of a form before it answers.
    let form = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\
        Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    for rest in [&b""[..], b"_method=", &[b'a'; 100_000]] {
        abort(&app, &[form, rest].concat());
    }
    let before = app.visit();
    wait(slow_down(&url));
    assert_eq!(app.visit(), before + 1);

    signal(app.id(), "TERM");
    assert_eq!(app.ended().code(), Some(0));
    let ends = || app.log().iter().any(|line| line.contains("SIGTERM"));
    eventually("the end of the log", ends);
    // Two lines at the start and one at the end.
    assert_eq!(app.log().len(), 3, "{:#?}", app.log());
    assert_eq!(app.stderr(), "");
}

/// The templates, with a fragment that fails at the numbers from 3 on. The numbers that the program
/// tries at start are others.
fn broken_templates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    support::copy_templates(folder.path());
    let count = folder.path().join("count.html.j2");
    let fragment = r#"<data id="views" value="{{ number }}">{{ number }}</data>
        {%- if 2 < number < 1000 %}{{ nobody_defined_this }}{% endif %}"#;
    fs::write(count, fragment).unwrap();
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
    lines.retain(|line| line["target"] == "pageviews::web::error");
    lines
}

#[test]
fn a_failed_request_has_one_line_in_the_log_and_its_id_on_the_page() {
    let templates = broken_templates();
    let mut app = in_folder(templates.path(), &wait(support::database()));
    assert_eq!((app.visit(), app.visit()), (1, 2));
    let answer = ask(&app, "/?secret", &format!("X-Request-Id: {ID}"));
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    // The program makes the id: a visitor's own text is never repeated.
    assert!(!answer.contains(ID), "{answer}");
    for inside in ["nobody_defined_this", "panicked", "secret", "minijinja"] {
        assert!(!answer.contains(inside), "{inside} is in {answer}");
    }
    eventually("the failure in the log", || !failures(&app).is_empty());
    let lines = failures(&app);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["level"], "error");
    let id = line["request_id"].as_str().unwrap();
    assert_eq!(id.len(), ID.len(), "{id}");
    assert!(parts(&answer).1.contains(id), "{answer}");
    assert_eq!(
        (&line["method"], &line["path"]),
        (&"GET".into(), &"/".into())
    );
    assert_eq!(line["status"], 500);
    let cause = |line: &Value| says(line, "msg", "count") && says(line, "target", "templates");
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

    // The log has no line about this request, so its page shows no reference.
    let answer = ask(&app, "/nowhere", "X: y");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(!parts(&answer).1.contains("<code>"), "{answer}");
    assert_eq!(app.stderr(), "");
}

/// The next test runs this one in a process of its own, since a process has one log and one panic
/// hook.
#[test]
#[ignore = "a_panic_is_one_line runs it"]
#[should_panic(expected = "as a bug would")]
fn panics_as_a_bug_would() {
    logging::init(logging::Format::Json, log::LevelFilter::Warn);
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
    // libtest has written the test's name at the beginning of the line.
    let object: Value = json::from_str(&line[line.find('{').unwrap()..]).unwrap();
    assert_eq!(object["level"], "error");
    assert!(says(&object, "msg", "as a bug would, in \"two\" lines"));
    assert!(says(&object, "msg", &format!("{}:", file!())));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
