//! The command line: arguments, exit codes and the runtime. The only place that ends the program.

mod admin;
mod check;
mod probe;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use rocket::error::ErrorKind;
use rocket::tokio::{runtime, spawn};
use rocket_db_pools::Database;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::{Config, Profile};
use crate::counter::Counter;
use crate::database::{self, Db};
use crate::logging;

/// How long tasks that still run at the end may take to notice.
const RUNTIME_TIMEOUT: Duration = Duration::from_millis(200);

/// An exact page-view counter. Without a command, serves the page.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask a running server whether it is ready: exit code 0 means yes, 1 means no
    Health {
        /// What to ask [default: /readyz on the configured port of this host]
        url: Option<String>,
    },
    /// Ask every part of a running cluster whether it does its work, from inside its network
    Check(check::Arguments),
    #[command(flatten)]
    Admin(admin::Command),
}

/// Runs the program. Wrong arguments end it with exit code 2. Anything else that fails ends it
/// with exit code 1 and one line.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        None => serve(),
        Some(Command::Health { url }) => ask_health(url),
        Some(Command::Check(arguments)) => run_check(&arguments),
        Some(Command::Admin(command)) => administer(command),
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let is_closed_pipe = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref().is_some_and(is_closed_pipe) {
        // The reader has read enough, as `head` does.
        return ExitCode::SUCCESS;
    }
    let line = format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let _ = writeln!(io::stderr(), "pageviews: {line}");
    ExitCode::FAILURE
}

/// `config` with a database. A private one runs for as long as the second part is held.
#[cfg(feature = "private-postgres")]
fn with_database(config: Config) -> Result<(Config, impl Sized)> {
    if config.profile == Profile::Prod || config.database().is_ok() {
        return Ok((config, None));
    }
    let server = private_postgres::PrivatePostgres::persistent(&config.root)?;
    let data = server.data().display();
    log::warn!(target: logging::LAUNCH, "private PostgreSQL, data in {data}");
    Ok((
        config.with_database_url(&server.url("pageviews"))?,
        Some(server),
    ))
}

/// `config` as it is: this build brings no database.
#[cfg(not(feature = "private-postgres"))]
fn with_database(config: Config) -> Result<(Config, ())> {
    Ok((config, ()))
}

fn serve() -> Result<()> {
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

fn administer(command: admin::Command) -> Result<()> {
    let (config, _database) = with_database(Config::load()?)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut output = io::BufWriter::new(io::stdout());
    runtime.block_on(admin::run(command, &config, &mut output))?;
    Ok(output.flush()?)
}

fn ask_health(url: Option<String>) -> Result<()> {
    let url = match url {
        Some(url) => url,
        None => {
            let Config { server, .. } = Config::load()?;
            // A program that listens on every address also listens on this one.
            let host = match server.address.is_unspecified() {
                true => Ipv4Addr::LOCALHOST.into(),
                false => server.address,
            };
            format!("http://{}/readyz", SocketAddr::new(host, server.port))
        }
    };
    Ok(writeln!(io::stdout(), "{}", probe::probe(&url)?)?)
}

fn run_check(arguments: &check::Arguments) -> Result<()> {
    let report = check::run(arguments);
    // The exit code counts, even when nobody reads the report.
    let _ = writeln!(io::stdout(), "{report}");
    ensure!(report.passed(), "the check failed");
    Ok(())
}
