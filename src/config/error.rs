//! What is wrong with a setting, where the setting comes from, and the remedy.

use std::fmt::Display;

use figment::error::Kind;
use figment::{Metadata, Source};

/// A setting that is missing or wrong. One line that never holds a secret.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}{origin}; {remedy}")]
pub struct Error {
    key: String,
    problem: String,
    /// Empty, or the origin in parentheses after a space.
    origin: String,
    remedy: String,
}

impl Error {
    /// A `problem` with the setting `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
            origin: String::new(),
            remedy: "see docs/configuration.md".into(),
        }
    }

    /// What figment found wrong below `prefix`, which is empty or ends in a dot.
    pub fn from_figment(error: &figment::Error, prefix: &str) -> Self {
        let path = error.path.join(".");
        let key = match (&error.kind, path.is_empty()) {
            (Kind::MissingField(field), true) => format!("{prefix}{field}"),
            (Kind::MissingField(field), false) => format!("{prefix}{path}.{field}"),
            (_, true) => "Rocket.toml".into(),
            _ => format!("{prefix}{path}"),
        };
        let secret = ["databases", "secret_key", "tls"]
            .iter()
            .any(|part| key.starts_with(part));
        let problem = match &error.kind {
            // Never the value that was found: it may be, or contain, a password.
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if secret => {
                format!("expected {expected}")
            }
            Kind::MissingField(_) => "it is missing".into(),
            // TOML's message quotes the wrong line, which may contain a password. Its first and
            // last lines say enough.
            Kind::Message(text) if text.lines().count() > 1 => {
                let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
                let (first, last) = (lines().next(), lines().next_back());
                format!(
                    "{}: {}",
                    first.unwrap_or_default(),
                    last.unwrap_or_default()
                )
            }
            kind => kind.to_string(),
        };
        let remedy = match key.as_str() {
            "port" => "set a number from 0 to 65535",
            "address" => "set an IP address, such as 127.0.0.1 or 0.0.0.0",
            "log_level" => "set normal, critical, debug or off",
            "workers" | "max_blocking" => "set a whole number above 0",
            "Rocket.toml" => "correct the file, or start from the one in the repository",
            _ => "see docs/configuration.md",
        };
        Self::new(key, problem)
            .with_metadata(error.metadata.as_ref())
            .with_remedy(remedy)
    }

    /// Adds the origin of the value, in words.
    pub fn with_origin(mut self, origin: impl Display) -> Self {
        self.origin = format!(" (from {origin})");
        self
    }

    /// Adds the origin of the value, as figment remembers it.
    pub fn with_metadata(self, metadata: Option<&Metadata>) -> Self {
        let Some(metadata) = metadata else {
            return self;
        };
        let origin = match &metadata.source {
            Some(Source::File(path)) => path.display().to_string(),
            _ if metadata.name.contains("ROCKET_") => {
                let name = self.key.split('.').next().unwrap_or_default();
                format!("environment variable ROCKET_{}", name.to_uppercase())
            }
            _ if self.key.ends_with(".url") => "environment variable DATABASE_URL".into(),
            _ if self.key.ends_with(".password_file") => {
                "environment variable DATABASE_PASSWORD_FILE".into()
            }
            _ => metadata.name.to_string(),
        };
        self.with_origin(origin)
    }

    /// Replaces the remedy: what the owner should do.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}
