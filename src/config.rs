//! The configuration: every setting from all its sources, parsed and checked once.
//!
//! Later sources win: built-in defaults, `Rocket.toml` (`[default]`, then the table of the
//! profile), `ROCKET_*`, `DATABASE_URL` and `DATABASE_PASSWORD_FILE`.

mod counting;
mod database;
mod error;
mod hosts;
mod limits;
mod parameters;
mod tls;
mod value;
mod web;

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::Dict;

pub use self::counting::{Counting, TimeZone};
pub use self::database::Database;
use self::database::KEY as DATABASE;
pub use self::error::Error;
pub use self::limits::{Limits, LiveLimits};
use self::value::optional;
pub use self::web::{Bots, Web};
use crate::page::AllowedPages;

/// The kind of place that the program runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A developer's machine: it listens on loopback, and brings a database if none is configured.
    Dev,
    /// A deployment: it listens on all interfaces, and the database must be configured.
    Prod,
}

impl Profile {
    /// The profile that `ROCKET_PROFILE` names. Without it, the one that fits the build.
    fn from_env() -> Result<Self, Error> {
        let wrong = |problem: String| {
            Error::new("profile", problem)
                .with_origin("environment variable ROCKET_PROFILE")
                .with_remedy("set it to dev or prod")
        };
        match env::var_os("ROCKET_PROFILE").unwrap_or_default().to_str() {
            Some("dev") => Ok(Self::Dev),
            Some("prod") => Ok(Self::Prod),
            Some("") if cfg!(debug_assertions) => Ok(Self::Dev),
            Some("") => Ok(Self::Prod),
            Some(other) => Err(wrong(format!("there is no profile {other:?}"))),
            None => Err(wrong("not valid UTF-8".into())),
        }
    }

    /// The name of the profile and of its table in `Rocket.toml`.
    pub fn as_str(self) -> &'static str {
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
    /// Rocket's own settings.
    pub server: rocket::Config,
    /// The pages that are counted.
    pub pages: AllowedPages,
    /// What visitors may see, and whose visits count.
    pub web: Web,
    /// How many pages there may be, and when a day begins.
    pub counting: Counting,
    /// The bounds of what waits.
    pub limits: Limits,
    /// The bounds of live streams.
    pub live: LiveLimits,
    /// The folder of `Rocket.toml`, or the current one. It tells checkouts apart.
    pub root: PathBuf,
    database: Option<Database>,
    /// All values with their origins, in figment's default profile: Rocket warns at each launch
    /// about profiles whose names begin with `dev` or `prod`, so it gets the resolved values.
    figment: Figment,
}

impl Config {
    /// Reads the configuration of the profile that `ROCKET_PROFILE` names.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn load() -> Result<Self, Error> {
        Self::for_profile(Profile::from_env()?)
    }

    /// Reads the configuration of `profile`.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn for_profile(profile: Profile) -> Result<Self, Error> {
        let (file, root) = rocket_toml()?;
        let figment = layers(&file, profile);
        check_tables(&figment)?;
        let server = parse_server(&figment)?;
        let database = match figment.contains(&format!("{DATABASE}.url")) {
            true => Some(Database::from_figment(&figment.focus(DATABASE))?),
            false => None,
        };
        // `focus`: `extract_inner` would name an unknown key the wrong way round.
        let limits = figment.focus("views").extract();
        let live = figment.focus("live").extract();
        let pages = optional(&figment, "pages", r#"write it as ["readme", "blog/*"]"#)?;
        Ok(Self {
            profile,
            server,
            pages: pages.unwrap_or_default(),
            web: Web::from_figment(&figment)?,
            counting: Counting::from_figment(&figment)?,
            limits: limits.map_err(|error| Error::from_figment(&error, "views."))?,
            live: live.map_err(|error| Error::from_figment(&error, "live."))?,
            root,
            database,
            figment,
        })
    }

    /// The database.
    ///
    /// # Errors
    /// No database is configured.
    pub fn database(&self) -> Result<&Database, Error> {
        self.database.as_ref().ok_or_else(|| {
            let (problem, or_try) = match self.profile {
                Profile::Dev => ("no database is configured, and this build brings none", ""),
                Profile::Prod if cfg!(feature = "private-postgres") => (
                    "the prod profile needs a database, and none is configured",
                    ", or ROCKET_PROFILE=dev to try the program out",
                ),
                Profile::Prod => ("no database is configured", ""),
            };
            Error::new(format!("{DATABASE}.url"), problem).with_remedy(format!(
                "set DATABASE_URL=postgres://user@host/name{or_try}"
            ))
        })
    }

    /// The same configuration with the database at `url`.
    ///
    /// # Errors
    /// `url` or another setting of the database is wrong.
    pub fn with_database_url(mut self, url: &str) -> Result<Self, Error> {
        let key = format!("{DATABASE}.url");
        self.figment = self.figment.merge(Serialized::default(&key, url));
        self.database = Some(Database::from_figment(&self.figment.focus(DATABASE))?);
        Ok(self)
    }

    /// The same configuration, listening on `address`.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.figment = self.figment.merge(Serialized::default("address", address));
        self.server.address = address;
        self
    }

    /// What Rocket and its fairings read of the configuration themselves.
    pub fn figment(&self) -> &Figment {
        &self.figment
    }
}

/// All sources, the last one winning.
fn layers(file: &Figment, profile: Profile) -> Figment {
    let variables = Env::prefixed("ROCKET_")
        .ignore(&["PROFILE", "CONFIG"])
        .filter(|key| is_set(&format!("ROCKET_{key}")));
    let figment = Figment::from(rocket::Config::default())
        .select(figment::Profile::Default)
        .merge(file.focus("default"))
        .merge(file.focus(profile.as_str()))
        .merge(variables);
    let variable = |name: &'static str, key: &'static str| {
        let names: &[&str] = if is_set(name) { &[name] } else { &[] };
        Env::raw()
            .only(names)
            .map(move |_| format!("{DATABASE}.{key}").into())
    };
    figment
        .merge(variable("DATABASE_URL", "url"))
        .merge(variable("DATABASE_PASSWORD_FILE", "password_file"))
}

/// Set but empty means not set: Compose passes a variable without a value as an empty one.
fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn check_tables(figment: &Figment) -> Result<(), Error> {
    for (key, form) in [
        (
            "databases",
            r#"{pageviews={url="postgres://user@host/name"}}"#,
        ),
        (DATABASE, r#"{url="postgres://user@host/name"}"#),
        ("views", "{deadline=6,queue=2000}"),
        ("live", "{streams=1000,streams_per_client=100}"),
    ] {
        if let Ok(value) = figment.find_value(key)
            && value.as_dict().is_none()
        {
            return Err(Error::new(key, "expected a table")
                .with_metadata(figment.get_metadata(value.tag()))
                .with_remedy(format!("write it as {form}")));
        }
    }
    Ok(())
}

fn parse_server(figment: &Figment) -> Result<rocket::Config, Error> {
    let server = rocket::Config::try_from(figment).map_err(|e| Error::from_figment(&e, ""))?;
    // Rocket accepts 0 threads; the runtime would panic.
    for (key, threads) in [
        ("workers", server.workers),
        ("max_blocking", server.max_blocking),
    ] {
        if threads == 0 {
            return Err(Error::new(key, "at least one thread is needed")
                .with_metadata(figment.find_metadata(key))
                .with_remedy("set a whole number above 0"));
        }
    }
    Ok(server)
}

/// `Rocket.toml` with one value for each table, and the folder that it is in. A missing file is
/// an empty one.
fn rocket_toml() -> Result<(Figment, PathBuf), Error> {
    let named = env::var_os("ROCKET_CONFIG").filter(|path| !path.is_empty());
    let path = PathBuf::from(named.clone().unwrap_or_else(|| "Rocket.toml".into()));
    // Not `.nested()`: figment would keep the tables as profiles, and Rocket would warn of them.
    let file = Figment::from(Toml::file(&path));
    let found = file
        .metadata()
        .find_map(|m| m.source.as_ref()?.file_path().map(PathBuf::from));
    let Some(found) = found else {
        return match named {
            Some(_) => Err(
                Error::new("config", format!("there is no file {}", path.display()))
                    .with_origin("environment variable ROCKET_CONFIG")
                    .with_remedy("correct the path, or unset it to use Rocket.toml"),
            ),
            None => Ok((file, env::current_dir().unwrap_or_default())),
        };
    };
    let tables: Dict = file
        .extract()
        .map_err(|error| Error::from_figment(&error, ""))?;
    for (name, table) in &tables {
        if !matches!(name.as_str(), "default" | "dev" | "prod") || table.as_dict().is_none() {
            return Err(Error::new(name, "not a table that this program knows")
                .with_origin(found.display())
                .with_remedy("use [default], [dev] or [prod]"));
        }
    }
    let root = found.parent().map(PathBuf::from).unwrap_or_default();
    Ok((file, root.canonicalize().unwrap_or(root)))
}
