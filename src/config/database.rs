//! How to connect to the database: the settings below `databases.pageviews`.

use std::time::Duration;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::magic::RelativePathBuf;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::error::Error;
use super::parameters::{Parameters, URL};
use super::tls;

/// Where the settings stand in the figment.
pub const KEY: &str = "databases.pageviews";

/// The database and its pool of connections.
#[derive(Clone, Debug)]
pub struct Database {
    /// The server, the user with the password, and the name of the database.
    pub connect: PgConnectOptions,
    /// Whether somebody on the way to the server could read and change what they say, without the
    /// owner's consent.
    pub is_exposed: bool,
    /// Whether a server that may lose commits in a crash is refused.
    pub require_durability: bool,
    /// Connections that the pool keeps open.
    pub min_connections: u32,
    /// Connections that the pool may open. The engine and the live totals have their own.
    pub max_connections: u32,
    /// How long to wait for a connection of the pool.
    pub connect_timeout: Duration,
    /// How long the pool keeps a connection that nothing uses; `None` is forever.
    pub idle_timeout: Option<Duration>,
}

impl Database {
    /// Reads the settings from `figment`, which is focused on [`KEY`].
    ///
    /// # Errors
    /// A setting is missing or wrong. The message holds neither the URL nor the password.
    pub fn from_figment(figment: &Figment) -> Result<Self, Error> {
        let prefix = &format!("{KEY}.");
        let pool: rocket_db_pools::Config = figment
            .clone()
            // Few, and no more on a larger machine: the server's connections are for all replicas.
            .join(Serialized::default("max_connections", 4))
            .join(Serialized::default("connect_timeout", 2))
            .join(Serialized::default("idle_timeout", 60))
            .extract()
            .map_err(|error| Error::from_figment(&error, prefix))?;
        let (connect, is_exposed) = parse_url(figment, &pool.url)?;
        let connect = match read_password(figment, prefix)? {
            // Not as a part of the URL: a password may contain any character.
            Some(password) => connect.password(&password),
            None => connect,
        };
        Ok(Self {
            connect: connect.application_name("pageviews"),
            is_exposed,
            require_durability: read_require_durability(figment, prefix)?,
            min_connections: pool.min_connections.unwrap_or(0),
            max_connections: u32::try_from(pool.max_connections).unwrap_or(u32::MAX),
            connect_timeout: Duration::from_secs(pool.connect_timeout),
            idle_timeout: pool.idle_timeout.map(Duration::from_secs),
        })
    }
}

/// What the URL says, and [`Database::is_exposed`].
fn parse_url(figment: &Figment, url: &str) -> Result<(PgConnectOptions, bool), Error> {
    let wrong = |problem: &str| {
        Error::new(URL, problem)
            .with_metadata(figment.find_metadata("url"))
            .with_remedy("write it as postgres://user@host:5432/name")
    };
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(wrong("not the URL of a PostgreSQL database"));
    }
    let url: Url = url
        .parse()
        .map_err(|error: url::ParseError| wrong(&error.to_string()))?;
    let parameters = Parameters::read(figment, &url)?;
    let connect = PgConnectOptions::from_url(&url).map_err(|_| wrong("not a valid URL"))?;
    // The host of an IPv6 URL has brackets, which neither the resolver nor TLS understands.
    let host = connect.get_host().trim_matches(['[', ']']).to_string();
    tls::apply(connect.host(&host), &parameters)
}

fn read_require_durability(figment: &Figment, prefix: &str) -> Result<bool, Error> {
    match figment.contains("require_durability") {
        true => figment
            .extract_inner("require_durability")
            .map_err(|error| Error::from_figment(&error, prefix)),
        false => Ok(true),
    }
}

/// What `password_file` holds, without the end of its line. `None` if there is no such setting.
fn read_password(figment: &Figment, prefix: &str) -> Result<Option<String>, Error> {
    if !figment.contains("password_file") {
        return Ok(None);
    }
    let path = figment
        .extract_inner::<RelativePathBuf>("password_file")
        .map_err(|error| Error::from_figment(&error, prefix))?
        .relative();
    let unusable = |problem: String| {
        Error::new(format!("{KEY}.password_file"), problem)
            .with_metadata(figment.find_metadata("password_file"))
            .with_remedy("name a readable file that contains the password alone")
    };
    let password = std::fs::read_to_string(&path)
        .map_err(|error| unusable(format!("cannot read {}: {error}", path.display())))?;
    match password.trim_end_matches(['\r', '\n']) {
        "" => Err(unusable(format!("{} is empty", path.display()))),
        password => Ok(Some(password.into())),
    }
}
