//! The log, on standard output: JSON lines for machines, or plain lines for people.
//!
//! The JSON has the form of Caddy's log, so that one parser reads both.

use std::io::{self, Write};
use std::panic;
use std::time::{SystemTime, UNIX_EPOCH};

use log::kv::{self, Key, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rocket::serde::json::Value;

/// The target of what is always shown at launch. Rocket logs such records as warnings, so that
/// `log_level = "critical"` lets them pass. The log shows them as information.
pub const LAUNCH: &str = "rocket::launch";

/// The form of the log.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Lines for people.
    Text,
}

/// Starts the log and sends panics to it as one line each. Call it before Rocket is built: Rocket
/// keeps a logger that is already there.
pub fn init(format: Format, level: LevelFilter) {
    if log::set_boxed_logger(Box::new(format)).is_ok() {
        log::set_max_level(level);
    }
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("for no reason given");
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = panic.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        log::error!("panicked at {place}: {message}");
    }));
}

impl Log for Format {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || is_noise(record, log::max_level()) {
            return;
        }
        let line = match self {
            Self::Json => json(record, SystemTime::now()),
            Self::Text => text(record),
        };
        // A closed standard output leaves no place to report the error.
        let _ = io::stdout().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Whether `record` is not worth a line at the level `max`.
///
/// At launch Rocket lists its settings, routes and templates, and sqlx passes on PostgreSQL's
/// notices: both are for debugging. Of single requests Rocket logs what visitors make up, such as
/// unknown paths and malformed headers: below `normal` the metrics count those. Rocket marks
/// details by a target that ends in `_`. They are kept where they explain an error of ours, such
/// as a template that fails.
fn is_noise(record: &Record<'_>, max: LevelFilter) -> bool {
    let from = |path| record.target().starts_with(path);
    let notice = record.level() > Level::Warn && from("sqlx::postgres::notice");
    let libraries = from("hyper") || from("h2") || notice;
    let lists = record.level() == Level::Info
        && [LAUNCH, "rocket::shield", "rocket_dyn_templates"]
            .into_iter()
            .any(from);
    if libraries || lists {
        return max < LevelFilter::Debug;
    }
    if max >= LevelFilter::Info {
        return false;
    }
    if record.target().ends_with("::_") {
        return record.level() > Level::Error || from("rocket::server");
    }
    let message = record.args().to_string();
    let about_a_request = ["Bad incoming", "Connection failed"];
    from("rocket::request")
        || from("rocket::server")
            && about_a_request
                .iter()
                .any(|start| message.starts_with(start))
}

/// The level that the log shows.
fn shown_level(record: &Record<'_>) -> Level {
    if record.target().starts_with(LAUNCH) {
        Level::Info
    } else {
        record.level()
    }
}

/// One line for people, with its end.
fn text(record: &Record<'_>) -> String {
    match shown_level(record) {
        _ if record.target().ends_with("::_") => format!("   >> {}\n", record.args()),
        level @ (Level::Error | Level::Warn) => {
            format!(
                "{}: {}\n",
                level.as_str().to_ascii_lowercase(),
                record.args()
            )
        }
        _ => format!("{}\n", record.args()),
    }
}

/// One JSON object, with the end of its line.
fn json(record: &Record<'_>, now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut members = Members(format!(
        r#"{{"ts":{}.{:03},"level":"{}""#,
        since.as_secs(),
        since.subsec_millis(),
        shown_level(record).as_str().to_ascii_lowercase()
    ));
    members.add("target", record.target().trim_end_matches("::_").into());
    members.add("msg", record.args().to_string().into());
    // It cannot fail: `visit_pair` below never does.
    let _ = record.key_values().visit(&mut members);
    members.0 + "}\n"
}

/// The start of a JSON object, to which members are added.
struct Members(String);

impl Members {
    fn add(&mut self, key: &str, value: Value) {
        self.0 += &format!(",{}:{value}", Value::from(key));
    }
}

impl<'v> VisitSource<'v> for Members {
    fn visit_pair(&mut self, key: Key<'v>, value: kv::Value<'v>) -> Result<(), kv::Error> {
        let value = match value.to_u64() {
            Some(number) => number.into(),
            None => value.to_string().into(),
        };
        self.add(key.as_str(), value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rocket::serde::json::from_str;

    use super::*;

    #[test]
    fn a_line_is_one_object_whatever_it_says() {
        let pairs: [(&str, &str); 1] = [("request_id", "\"}\n{\"level\":\"error\"")];
        let record = Record::builder()
            .level(Level::Warn)
            .target("pageviews::database")
            .args(format_args!("lost \"it\"\nand\tmore\u{0}"))
            .key_values(&pairs)
            .build();
        let line = json(
            &record,
            UNIX_EPOCH + Duration::from_millis(1_795_383_281_018),
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with(r#"{"ts":1795383281.018,"level":"warn","target":"#));
        let object: Value = from_str(&line).expect("JSON");
        assert_eq!(object["msg"], "lost \"it\"\nand\tmore\u{0}");
        assert_eq!(object["request_id"], pairs[0].1);
    }

    #[test]
    fn the_launch_is_information() {
        let record = Record::builder()
            .level(Level::Warn)
            .target(LAUNCH)
            .args(format_args!("Rocket has launched from http://[::1]:8000"))
            .build();
        let object: Value = from_str(&json(&record, SystemTime::now())).expect("JSON");
        assert_eq!(object["level"], "info");
        assert_eq!(object["msg"], "Rocket has launched from http://[::1]:8000");
    }

    #[test]
    fn what_visitors_make_up_is_logged_only_on_request() {
        let cases = [
            (
                "rocket::server::_",
                Level::Error,
                "No matching routes for GET /x.",
                true,
            ),
            (
                "rocket::server",
                Level::Warn,
                "Bad incoming HTTP request.",
                true,
            ),
            (
                "rocket::server",
                Level::Warn,
                "Received SIGTERM. Requesting shutdown.",
                false,
            ),
            (
                "rocket::request::request",
                Level::Warn,
                "Header 'x' contains invalid UTF-8",
                true,
            ),
            (
                "pageviews::web::home::_",
                Level::Warn,
                "Request guard `Visit` failed: Speculative.",
                true,
            ),
            (
                "rocket_dyn_templates::template::_",
                Level::Error,
                "Template 'home' failed",
                false,
            ),
            (
                "pageviews::database",
                Level::Warn,
                "database unreachable",
                false,
            ),
        ];
        for (target, level, message, chatter) in cases {
            let args = format_args!("{message}");
            let record = Record::builder()
                .level(level)
                .target(target)
                .args(args)
                .build();
            assert_eq!(is_noise(&record, LevelFilter::Warn), chatter, "{message}");
            assert!(!is_noise(&record, LevelFilter::Info), "{message}");
        }
    }
}
