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
        if !self.enabled(record.metadata()) || !is_shown(record, log::max_level()) {
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

/// Whether `record` is worth a line at the level `max`.
///
/// What libraries say of their inner work, such as SQL, is for debugging, and so are the lists of
/// settings, routes and templates at launch. Below `normal` only our own records pass, and those of
/// Rocket that no request can cause: it logs much that visitors make up.
fn is_shown(record: &Record<'_>, max: LevelFilter) -> bool {
    let from = |paths: &[&str]| paths.iter().any(|path| record.target().starts_with(path));
    if max >= LevelFilter::Debug {
        return true;
    }
    if max == LevelFilter::Info {
        let lists = record.level() == Level::Info
            && from(&[LAUNCH, "rocket::shield", "rocket_dyn_templates"]);
        // Rocket repeats a header that it cannot read, and that may be a visitor's address.
        return !lists && !from(&["h2", "hyper", "rocket::request", "sqlx"]);
    }
    // Rocket's macros log failed guards under the path of our modules, with this ending.
    let is_ours = from(&["pageviews"]) && !record.target().ends_with("::_");
    // The last are the causes of a failed launch, and of a page that could not be rendered.
    let is_needed = from(&[LAUNCH, "rocket::config", "rocket_dyn_templates"]);
    is_ours || is_needed || is_signal(record)
}

/// Whether Rocket reports a signal that stops the program.
fn is_signal(record: &Record<'_>) -> bool {
    record.target() == "rocket::server" && record.args().to_string().starts_with("Received ")
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
    fn below_normal_no_request_and_no_library_writes_a_line() {
        use Level::{Error, Info, Warn};
        use LevelFilter as Max;
        // The last column is the lowest level that shows the record.
        let cases = [
            ("pageviews::database", Warn, "unreachable", Max::Warn),
            ("pageviews::web::home::_", Warn, "Guard", Max::Info),
            (LAUNCH, Warn, "Rocket has launched", Max::Warn),
            (LAUNCH, Info, "Configured for prod.", Max::Debug),
            ("rocket::config::shutdown", Warn, "Failed", Max::Warn),
            ("rocket::server", Warn, "Received SIGTERM.", Max::Warn),
            ("rocket::server", Warn, "Bad incoming", Max::Info),
            ("rocket::server::_", Error, "No matching", Max::Info),
            ("rocket::data::data::_", Error, "Failed", Max::Info),
            ("rocket::request::request", Warn, "Header", Max::Debug),
            ("rocket_dyn_templates::_", Error, "count", Max::Warn),
            ("rocket_dyn_templates", Info, "Templating:", Max::Debug),
            ("sqlx::query", Warn, "slow statement", Max::Debug),
            ("sqlx_core::pool", Warn, "on-release", Max::Debug),
            ("hyper::proto", Warn, "parse error", Max::Debug),
        ];
        for (target, level, message, lowest) in cases {
            let args = format_args!("{message}");
            let record = Record::builder()
                .level(level)
                .target(target)
                .args(args)
                .build();
            for max in [Max::Warn, Max::Info, Max::Debug] {
                let shown = level <= max && is_shown(&record, max);
                assert_eq!(shown, max >= lowest, "{max}: {message}");
            }
        }
    }
}
