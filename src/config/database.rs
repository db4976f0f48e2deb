//! How to connect to the database: the settings below `databases.pageviews`.

use std::time::Duration;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::magic::RelativePathBuf;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::error::Error;
use super::hosts;
use super::parameters::{Parameters, URL};
use super::tls;

/// Where the settings stand in the figment.
pub const KEY: &str = "databases.pageviews";

/// The database and its pool of connections.
#[derive(Clone, Debug)]
pub struct Database {
    /// The servers, one at least, each with the user, the password and the name of the database.
    /// One of them takes writes, and it may be another one later.
    pub hosts: Vec<PgConnectOptions>,
    /// Whether somebody on the way to the server could read and change what they say, without the
    /// owner's consent.
    pub is_exposed: bool,
    /// Whether a server that may lose commits in a crash is refused.
    pub require_durability: bool,
    /// Connections that the pool keeps open.
    pub min_connections: u32,
    /// Connections that the pool may open. The engine and the listener have their own.
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
        let (hosts, is_exposed) = parse_url(figment, &pool.url)?;
        let password = read_password(figment, prefix)?;
        let with_password = |host: PgConnectOptions| match &password {
            // Not as a part of the URL: a password may contain any character.
            Some(password) => host.password(password),
            None => host,
        };
        let complete = |host| with_password(host).application_name("pageviews");
        Ok(Self {
            hosts: hosts.into_iter().map(complete).collect(),
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
fn parse_url(figment: &Figment, url: &str) -> Result<(Vec<PgConnectOptions>, bool), Error> {
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
    let urls = hosts::split(url)
        .iter()
        .map(|url| url.parse())
        .collect::<Result<Vec<Url>, _>>()
        .map_err(|error| wrong(&error.to_string()))?;
    if urls.iter().any(|url| url.path().contains('@')) {
        return Err(wrong("an @ after the host").with_remedy(
            "write a / in the password as %2F, and an @ in the name of the database as %40",
        ));
    }
    // The part after the hosts is the same in all of them.
    let parameters = Parameters::read(figment, &urls[0])?;
    hosts::check(&urls, &parameters)?;
    let mut servers = Vec::new();
    let mut is_exposed = false;
    for url in &urls {
        let options = PgConnectOptions::from_url(&hosts::without_target(url))
            .map_err(|_| wrong("not a valid URL"))?;
        // The host of an IPv6 URL has brackets, which neither the resolver nor TLS understands.
        let host = options.get_host().trim_matches(['[', ']']).to_string();
        let socket = options.get_socket().map(|path| path.to_string_lossy());
        if host.contains(',') || socket.is_some_and(|path| path.contains(',')) {
            let problem = "several hosts in PGHOST or in the parameter host";
            return Err(parameters.error(problem, hosts::REMEDY));
        }
        let (options, is_host_exposed) = tls::apply(options.host(&host), &parameters)?;
        servers.push(options);
        is_exposed |= is_host_exposed;
    }
    Ok((servers, is_exposed))
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
