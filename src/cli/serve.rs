//! `pageviews` without a command: the server, from its start to its end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rocket::error::ErrorKind;
use rocket::tokio::{runtime, spawn};
use rocket_db_pools::Database;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::development::with_database;
use crate::config::{Config, Profile};
use crate::counter::Counter;
use crate::database::{self, Db};
use crate::logging;

/// How long tasks that still run at the end may take to notice.
const RUNTIME_TIMEOUT: Duration = Duration::from_millis(200);

/// Serves until a signal ends the program.
pub fn serve() -> Result<()> {
    let config = Config::load()?;
    let format = match config.profile {
        Profile::Dev => logging::Format::Text,
        Profile::Prod => logging::Format::Json,
    };
    logging::init(format, config.server.log_level.into());
    let (config, _database) = with_database(config)?;
    raise_file_limit();
    // Not `#[rocket::main]`: it reads `workers` from a figment of its own, before ours exists.
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(config.server.workers)
        .max_blocking_threads(config.server.max_blocking)
        .enable_all()
        .build()
        .context(
            "cannot start the runtime; free some memory or threads, or lower ROCKET_WORKERS",
        )?;
    // On a worker, where the connections are. At the end each connection asks Caddy to connect
    // anew, which should find the port closed. On a busy machine the main thread would close the
    // port after that.
    let served = runtime.block_on(async { spawn(launch(config)).await });
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    served?
}

/// `config`, listening on 0.0.0.0 instead of `::`, which is every address, on a kernel without
/// IPv6.
fn with_usable_address(config: Config) -> Config {
    let every = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    if config.server.address == every && TcpListener::bind((every, 0)).is_err() {
        return config.with_address(Ipv4Addr::UNSPECIFIED.into());
    }
    config
}

/// Lets this process open as many files as the system allows. Each live stream is a connection, and
/// so a file. The usual limit of 1,024 would leave none for visits.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // macOS refuses an infinite limit. Then the old one stays.
    let _ = setrlimit(Resource::Nofile, limit);
}

async fn launch(config: Config) -> Result<()> {
    let config = with_usable_address(config);
    let rocket = crate::rocket(&config)?;
    if config.database()?.is_exposed {
        log::warn!(
            "the database's server is not verified, so others on the network may read or change \
             the counts; add sslmode=verify-full to its URL, or sslmode=disable if the network is \
             private: see docs/configuration.md"
        );
    }
    log::warn!(
        target: logging::LAUNCH,
        "pageviews {}, profile {}",
        env!("CARGO_PKG_VERSION"),
        config.profile.as_str()
    );
    let error = match rocket.launch().await {
        Ok(rocket) => {
            if let Some(db) = Db::fetch(&rocket) {
                database::close(db).await;
            }
            return ensure_engine_worked(rocket.state());
        }
        Err(error) => error,
    };
    match error.kind() {
        // The visitors that were still served had their time.
        ErrorKind::Shutdown(rocket, None) => ensure_engine_worked(rocket.state()),
        ErrorKind::Bind(cause) => bail!(
            "cannot listen on {}:{}: {cause}; stop what listens there, or set ROCKET_ADDRESS or \
             ROCKET_PORT",
            config.server.address,
            config.server.port
        ),
        ErrorKind::FailedFairings(stages) => {
            let names: Vec<_> = stages.iter().map(|stage| stage.name).collect();
            bail!(
                "cannot start: {} failed; the line above says why",
                names.join(", ")
            )
        }
        other => bail!("cannot start: {other}"),
    }
}

/// With exit code 1 an orchestrator starts the program again.
fn ensure_engine_worked(counter: Option<&Counter>) -> Result<()> {
    let failed = counter.is_some_and(Counter::has_failed);
    ensure!(
        !failed,
        "the counting task has failed; the line above says why"
    );
    Ok(())
}
