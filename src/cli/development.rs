//! The private PostgreSQL server of a developer's machine, for every command that needs a database.

use anyhow::Result;

use crate::config::Config;

/// `config` with a database. A private one runs for as long as the second part is held.
#[cfg(feature = "private-postgres")]
pub fn with_database(config: Config) -> Result<(Config, impl Sized)> {
    if config.profile == crate::config::Profile::Prod || config.database().is_ok() {
        return Ok((config, None));
    }
    let server = private_postgres::PrivatePostgres::persistent(&config.root)?;
    let data = server.data().display();
    log::warn!(target: crate::logging::LAUNCH, "private PostgreSQL, data in {data}");
    Ok((
        config.with_database_url(&server.url("pageviews"))?,
        Some(server),
    ))
}

/// `config` as it is: this build brings no database.
#[cfg(not(feature = "private-postgres"))]
pub fn with_database(config: Config) -> Result<(Config, ())> {
    Ok((config, ()))
}
