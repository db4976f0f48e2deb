//! The log: in a deployment one JSON object per line, in the form of Caddy's own, so that one parser reads both; on a
//! developer's machine Rocket's lines for people. Either goes to standard output.

use std::io::{self, Write};
use std::panic;
use std::time::{SystemTime, UNIX_EPOCH};

use log::kv::{self, Key, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rocket::serde::json::Value;

use crate::config::{Config, Profile};

/// The target of what is always said at launch. Rocket's idea: such a record is a warning, so that `log_level = "critical"`
/// lets it pass, and is shown as information.
pub const LAUNCH: &str = "rocket::launch";

/// Starts the log. Before Rocket, which leaves a logger alone that is there already.
pub fn init(config: &Config) {
    if config.profile == Profile::Prod && log::set_logger(&Json).is_ok() {
        log::set_max_level(config.server.log_level.into());
    }
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("for no reason given");
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = panic.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        log::error!("panicked at {place}: {message}");
    }));
}

/// Writes JSON.
struct Json;

impl Log for Json {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && !is_chatter(record, log::max_level()) {
            // Nobody is left to be told that there is nobody to read it.
            let _ = io::stdout()
                .lock()
                .write_all(line(record, SystemTime::now()).as_bytes());
        }
    }

    fn flush(&self) {}
}

/// What Rocket says of single requests, at levels at which it would be an access log of whatever visitors make up: no such
/// path, a malformed header, hung up. The metrics count them. Their details, which Rocket marks by a target that ends
/// in `_`, are kept where they are the cause of an error of ours: a template that fails.
fn is_chatter(record: &Record<'_>, max: LevelFilter) -> bool {
    let from = |path| record.target().starts_with(path);
    if from("hyper") || from("h2") {
        return max < LevelFilter::Debug;
    }
    if max >= LevelFilter::Info {
        return false;
    }
    if record.target().ends_with("::_") {
        return record.level() > Level::Error || from("rocket::server");
    }
    let message = record.args().to_string();
    let of_a_request = ["Bad incoming", "Connection failed"];
    from("rocket::request")
        || from("rocket::server") && of_a_request.iter().any(|start| message.starts_with(start))
}

/// One line, with its end.
fn line(record: &Record<'_>, now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let launch = record.target().starts_with(LAUNCH);
    let level = if launch { Level::Info } else { record.level() };
    let message = plain(&record.args().to_string());
    let message = if launch {
        message.trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
    } else {
        &message
    };
    let mut members = Members(format!(
        r#"{{"ts":{}.{:03},"level":"{}""#,
        since.as_secs(),
        since.subsec_millis(),
        level.as_str().to_ascii_lowercase()
    ));
    members.add("target", record.target().trim_end_matches("::_").into());
    members.add("msg", message.into());
    // Infallible, as are our own visits.
    let _ = record.key_values().visit(&mut members);
    members.0 + "}\n"
}

/// `text` without the escape sequences that colour it.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |plain, part| {
        plain + part.split_once('m').map_or(part, |(_, rest)| rest)
    })
}

/// The members of an object that is not closed yet.
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

    use rocket::serde::json;

    use super::*;

    #[test]
    fn a_line_is_one_object_whatever_it_says() {
        let pairs: [(&str, &str); 1] = [("request_id", "\"}\n{\"level\":\"error\"")];
        let record = Record::builder()
            .level(Level::Warn)
            .target("pageviews::database")
            .args(format_args!("lost \"it\"\n\x1b[33mand\x1b[0m\tmore\u{0}"))
            .key_values(&pairs)
            .build();
        let line = line(
            &record,
            UNIX_EPOCH + Duration::from_millis(1_795_383_281_018),
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with(r#"{"ts":1795383281.018,"level":"warn","target":"#));
        let object: Value = json::from_str(&line).expect("JSON");
        assert_eq!(object["msg"], "lost \"it\"\nand\tmore\u{0}");
        assert_eq!(object["request_id"], pairs[0].1);
    }

    #[test]
    fn the_launch_is_information_without_decoration() {
        let record = Record::builder()
            .level(Level::Warn)
            .target(LAUNCH)
            .args(format_args!(
                "🚀 Rocket has launched from http://[::1]:8000"
            ))
            .build();
        let object: Value = json::from_str(&line(&record, SystemTime::now())).expect("JSON");
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
                "pageviews::home::_",
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
            assert_eq!(is_chatter(&record, LevelFilter::Warn), chatter, "{message}");
            assert!(!is_chatter(&record, LevelFilter::Info), "{message}");
        }
    }
}
