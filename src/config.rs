//! Configuration: every setting from wherever it comes, checked once, in one place.
//!
//! Later wins: built-in defaults, `Rocket.toml` (`[default]`, then the profile's table), `ROCKET_*`,
//! `DATABASE_URL` and `DATABASE_PASSWORD_FILE`.

use std::path::PathBuf;
use std::{env, fmt};

use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::Dict;
use figment::{Figment, Metadata, Source};
use sqlx::postgres::PgConnectOptions;

use crate::page::Pages;
use crate::{database, views};

/// Where the database's settings stand in the figment.
const DATABASE: &str = "databases.pageviews";

/// What kind of place the program runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A developer's machine: loopback only, and a private PostgreSQL when none is configured.
    Dev,
    /// A deployment: all interfaces, and a database that must be configured.
    Prod,
}

impl Profile {
    /// The profile that `ROCKET_PROFILE` names; without it, the one that fits the build.
    fn from_env() -> Result<Self, Error> {
        match env::var("ROCKET_PROFILE").as_deref() {
            Ok("dev") => Ok(Self::Dev),
            Ok("prod") => Ok(Self::Prod),
            Ok("") | Err(env::VarError::NotPresent) if cfg!(debug_assertions) => Ok(Self::Dev),
            Ok("") | Err(env::VarError::NotPresent) => Ok(Self::Prod),
            Ok(other) => Err(
                Error::new("profile", format!("there is no profile {other:?}"))
                    .from("environment variable ROCKET_PROFILE")
                    .cure("set it to dev or prod"),
            ),
            Err(env::VarError::NotUnicode(_)) => Err(Error::new("profile", "not valid UTF-8")
                .from("environment variable ROCKET_PROFILE")
                .cure("set it to dev or prod")),
        }
    }

    /// The name of the profile and of its table in `Rocket.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Prod => "prod",
        }
    }
}

/// The whole configuration, valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// The profile in force.
    pub profile: Profile,
    /// Every value with its origin, all in figment's default profile: Rocket warns at each launch
    /// about profiles whose names begin with `dev` or `prod`, so it is handed the resolved values.
    pub figment: Figment,
    /// Rocket's own part.
    pub server: rocket::Config,
    /// The folder of `Rocket.toml`, or the current one: what makes two checkouts two.
    pub root: PathBuf,
}

impl Config {
    /// Reads and checks the configuration of the profile that `ROCKET_PROFILE` names.
    ///
    /// # Errors
    /// The first setting that is missing or wrong, with its origin and the cure.
    pub fn load() -> Result<Self, Error> {
        Self::of(Profile::from_env()?)
    }

    /// Reads and checks the configuration of `profile`.
    ///
    /// # Errors
    /// As of [`Config::load`].
    pub fn of(profile: Profile) -> Result<Self, Error> {
        let (file, root) = rocket_toml()?;
        let mut figment = Figment::from(rocket::Config::default())
            .select(figment::Profile::Default)
            .merge(file.focus("default"))
            .merge(file.focus(profile.name()))
            .merge(
                Env::prefixed("ROCKET_")
                    .ignore(&["PROFILE", "CONFIG"])
                    .filter(|key| is_set(&format!("ROCKET_{key}"))),
            );
        for (variable, key) in [
            ("DATABASE_URL", "url"),
            ("DATABASE_PASSWORD_FILE", "password_file"),
        ] {
            if is_set(variable) {
                figment = figment.merge(
                    Env::raw()
                        .only(&[variable])
                        .map(move |_| format!("{DATABASE}.{key}").into()),
                );
            }
        }

        let server = rocket::Config::try_from(&figment).map_err(|e| Error::of(&e, ""))?;
        // Rocket takes them as they are; the runtime would panic.
        for (key, threads) in [
            ("workers", server.workers),
            ("max_blocking", server.max_blocking),
        ] {
            if threads == 0 {
                return Err(Error::new(key, "no thread is not enough")
                    .found_in(figment.find_metadata(key))
                    .cure("set a whole number above 0"));
            }
        }
        for (key, form) in [
            (
                "databases",
                "{pageviews={url=\"postgres://user@host/name\"}}",
            ),
            (DATABASE, "{url=\"postgres://user@host/name\"}"),
            ("views", "{deadline=6,queue=10000}"),
        ] {
            if let Ok(value) = figment.find_value(key)
                && value.as_dict().is_none()
            {
                return Err(Error::new(key, "expected a table")
                    .found_in(figment.get_metadata(value.tag()))
                    .cure(format!("write it as {form}")));
            }
        }
        views::Settings::of(&figment)?;
        Pages::of(&figment)?;
        let config = Self {
            profile,
            figment,
            server,
            root,
        };
        if config.has_database() {
            config.connect_options()?;
        } else if profile == Profile::Prod {
            return Err(Error::new(
                format!("{DATABASE}.url"),
                "the prod profile needs a database, and none is configured",
            )
            .cure(
                "set DATABASE_URL=postgres://user@host/name, or ROCKET_PROFILE=dev to try the program out",
            ));
        }
        Ok(config)
    }

    /// Whether a database is configured.
    pub fn has_database(&self) -> bool {
        self.figment.contains(&format!("{DATABASE}.url"))
    }

    /// How to connect to the database.
    ///
    /// # Errors
    /// As of [`database::connect_options`].
    pub fn connect_options(&self) -> Result<PgConnectOptions, Error> {
        database::connect_options(&self.figment.focus(DATABASE))
    }

    /// The same configuration with another database.
    pub fn with_database(mut self, url: &str) -> Self {
        self.figment = self
            .figment
            .merge(Serialized::default(&format!("{DATABASE}.url"), url));
        self
    }
}

/// Set but empty means not set: that is what compose makes of a variable without a value.
fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// `Rocket.toml` as one value per table, and the folder it is in. No file is an empty one.
fn rocket_toml() -> Result<(Figment, PathBuf), Error> {
    let named = env::var_os("ROCKET_CONFIG").filter(|path| !path.is_empty());
    let path = named
        .clone()
        .map_or_else(|| PathBuf::from("Rocket.toml"), PathBuf::from);
    // Not `.nested()`: figment would keep the tables as profiles, and Rocket would warn about them.
    let file = Figment::from(Toml::file(&path));
    let Some(found) = file
        .metadata()
        .find_map(|m| m.source.as_ref()?.file_path().map(PathBuf::from))
    else {
        if named.is_some() {
            return Err(
                Error::new("config", format!("there is no file {}", path.display()))
                    .from("environment variable ROCKET_CONFIG")
                    .cure("correct the path, or unset it to use Rocket.toml"),
            );
        }
        return Ok((file, env::current_dir().unwrap_or_default()));
    };
    let tables: Dict = file.extract().map_err(|e| Error::of(&e, ""))?;
    for (name, table) in &tables {
        if !matches!(name.as_str(), "default" | "dev" | "prod") || table.as_dict().is_none() {
            return Err(Error::new(name, "not a table that this program knows")
                .from(found.display())
                .cure("use [default], [dev] or [prod]"));
        }
    }
    let root = found.parent().map(PathBuf::from).unwrap_or_default();
    Ok((file, root.canonicalize().unwrap_or(root)))
}

/// A setting that is wrong: what it is called, what is wrong with it, where it came from, the cure.
#[derive(Debug)]
pub struct Error {
    key: String,
    problem: String,
    origin: Option<String>,
    cure: String,
}

impl Error {
    /// A `problem` with the setting `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        let cure = "see the table under \"Configure\" in README.md".to_string();
        Self {
            key: key.into(),
            problem: problem.into(),
            origin: None,
            cure,
        }
    }

    /// What figment found wrong below `prefix` (which ends in a dot, or is empty).
    pub fn of(error: &figment::Error, prefix: &str) -> Self {
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
            // Never the value that was found: it may be, or hold, a password.
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if secret => {
                format!("expected {expected}")
            }
            Kind::MissingField(_) => "it is missing".into(),
            // TOML's own message shows the line it means, which may hold a password: its first and last say enough.
            Kind::Message(text) if text.lines().count() > 1 => {
                let lines: Vec<_> = text
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .collect();
                format!("{}: {}", lines[0], lines[lines.len() - 1])
            }
            kind => kind.to_string(),
        };
        let this = Self::new(&key, problem).found_in(error.metadata.as_ref());
        match key.as_str() {
            "port" => this.cure("set a number from 0 to 65535"),
            "address" => this.cure("set an IP address, such as 127.0.0.1 or 0.0.0.0"),
            "log_level" => this.cure("set normal, critical, debug or off"),
            "workers" | "max_blocking" => this.cure("set a whole number above 0"),
            "Rocket.toml" => this.cure("correct the file, or start from the one in the repository"),
            _ => this,
        }
    }

    /// Where the value came from, in words.
    pub fn from(mut self, origin: impl fmt::Display) -> Self {
        self.origin = Some(origin.to_string());
        self
    }

    /// Where the value came from, as figment remembers it.
    pub fn found_in(mut self, metadata: Option<&Metadata>) -> Self {
        self.origin = metadata.map(|metadata| match &metadata.source {
            Some(Source::File(path)) => path.display().to_string(),
            _ if metadata.name.contains("ROCKET_") => {
                let variable = self
                    .key
                    .split('.')
                    .next()
                    .unwrap_or_default()
                    .to_uppercase();
                format!("environment variable ROCKET_{variable}")
            }
            _ if self.key.ends_with(".url") => "environment variable DATABASE_URL".into(),
            _ if self.key.ends_with(".password_file") => {
                "environment variable DATABASE_PASSWORD_FILE".into()
            }
            _ => metadata.name.to_string(),
        });
        self
    }

    /// What to do about it.
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)?;
        if let Some(origin) = &self.origin {
            write!(f, " (from {origin})")?;
        }
        write!(f, "; {}", self.cure)
    }
}

impl std::error::Error for Error {}
