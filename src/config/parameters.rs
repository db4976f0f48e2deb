//! The parameters in the URL of the database, and PostgreSQL's variables for what the URL leaves
//! out.
//!
//! sqlx logs an unknown parameter with its value, and ignores a wrong variable. So both are checked
//! before sqlx reads them. No error holds a value, because a value may be a password.

use std::env;
use std::net::IpAddr;

use figment::{Figment, Metadata};
use sqlx::postgres::PgSslMode;
use url::{Position, Url};

use super::error::Error;

/// The setting that holds the URL.
pub const URL: &str = "databases.pageviews.url";

/// The parameter that says which one of several hosts is meant.
pub const TARGET: &str = "target_session_attrs";

/// Its values that ask for what this program does: it looks for the host that takes writes.
const TARGETS: [&str; 3] = ["any", "primary", "read-write"];

/// The parameters that are read, by PostgreSQL's name and then by sqlx' other names.
const KNOWN: [&[&str]; 14] = [
    &["application_name"],
    &["dbname"],
    &["host"],
    &["hostaddr"],
    &["options"],
    &["password"],
    &["port"],
    &["sslcert", "ssl-cert"],
    &["sslkey", "ssl-key"],
    &["sslmode", "ssl-mode"],
    &["sslrootcert", "ssl-root-cert", "ssl-ca"],
    &["statement-cache-capacity"],
    &[TARGET],
    &["user"],
];

/// The variables whose values can be wrong, with the parameters that they stand for.
const VARIABLES: [(&str, &str); 5] = [
    ("PGPORT", "port"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
];

/// One parameter with a value that has the right form.
pub struct Parameter {
    pub name: &'static str,
    pub value: String,
    /// The variable that it comes from, unless that is the URL.
    variable: Option<&'static str>,
}

impl Parameter {
    /// Whether the URL sets it.
    pub fn is_in_url(&self) -> bool {
        self.variable.is_none()
    }
}

/// All parameters that are set.
pub struct Parameters<'f> {
    /// Later ones win.
    list: Vec<Parameter>,
    metadata: Option<&'f Metadata>,
}

impl<'f> Parameters<'f> {
    /// The parameters in `url`, which comes from `figment`, and in the environment.
    ///
    /// # Errors
    /// A parameter is unknown, or its value has the wrong form.
    pub fn read(figment: &'f Figment, url: &Url) -> Result<Self, Error> {
        let mut parameters = Self {
            list: Vec::new(),
            metadata: figment.find_metadata("url"),
        };
        for (variable, name) in VARIABLES {
            let Some(value) = env::var_os(variable) else {
                continue;
            };
            // sqlx would look for a file without a name. It ignores the other variables if empty.
            if value.is_empty() && !["sslcert", "sslkey"].contains(&name) {
                continue;
            }
            parameters.add(Parameter {
                name,
                value: value.to_string_lossy().into(),
                variable: Some(variable),
            })?;
        }
        for (key, value) in url.query_pairs() {
            if key.starts_with("options[") && key.ends_with(']') {
                continue;
            }
            let known = KNOWN.iter().find(|names| names.contains(&&*key));
            let Some(names) = known else {
                return Err(parameters.unknown(url, &key));
            };
            parameters.add(Parameter {
                name: names[0],
                value: value.into(),
                variable: None,
            })?;
        }
        Ok(parameters)
    }

    /// The parameter `name`, if it is set.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.list.iter().rfind(|parameter| parameter.name == name)
    }

    /// The error that `parameter` is wrong: `remedy` says what it should be.
    pub fn wrong(&self, parameter: &Parameter, problem: &str, remedy: &str) -> Error {
        match parameter.variable {
            Some(variable) => Error::new(URL, problem)
                .with_remedy(remedy)
                .with_origin(format!("environment variable {variable}")),
            None => self.error(problem, remedy),
        }
    }

    /// The error that the URL is wrong: `remedy` says what it should be.
    pub fn error(&self, problem: &str, remedy: &str) -> Error {
        Error::new(URL, problem)
            .with_remedy(remedy)
            .with_metadata(self.metadata)
    }

    fn add(&mut self, parameter: Parameter) -> Result<(), Error> {
        let Parameter { name, value, .. } = &parameter;
        let (is_right, form) = match *name {
            "hostaddr" => (value.parse::<IpAddr>().is_ok(), "an IP address"),
            "port" => (value.parse::<u16>().is_ok(), "a number from 1 to 65535"),
            "sslmode" => (
                value.parse::<PgSslMode>().is_ok(),
                "disable, prefer, require, verify-ca or verify-full",
            ),
            TARGET => (
                TARGETS.contains(&value.as_str()),
                "read-write, because a counter has to write",
            ),
            "statement-cache-capacity" => (value.parse::<usize>().is_ok(), "a whole number"),
            _ => (true, ""),
        };
        if !is_right {
            let problem = format!("wrong value of {name}");
            return Err(self.wrong(&parameter, &problem, &format!("set {form}")));
        }
        self.list.push(parameter);
        Ok(())
    }

    fn unknown(&self, url: &Url, key: &str) -> Error {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        // An `@` here ends a password with a `?` in it: what looks like a key is a part of it.
        let is_secret = url[Position::AfterPath..].contains('@');
        let (problem, hint) = match key.bytes().all(is_name) && !is_secret {
            true => (format!("unknown parameter \"{key}\""), ""),
            false => (
                "unknown parameter".into(),
                "write a ? in the password as %3F; ",
            ),
        };
        let names = KNOWN.map(|names| names[0]).join(", ");
        Error::new(URL, problem)
            .with_metadata(self.metadata)
            .with_remedy(format!("{hint}the parameters are {names}"))
    }
}
