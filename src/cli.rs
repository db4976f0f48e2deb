//! The command line: what the program is told to do, and the exit code it ends with.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rocket::error::ErrorKind;
use rocket::tokio::{runtime, spawn};
use rocket_db_pools::Database;

use crate::config::Config;
use crate::database::{self, Db};
use crate::{admin, check, health, logging};

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

/// Runs the program. Wrong arguments end it with exit code 2, anything else that fails with 1 and one line.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        None => serve(),
        Some(Command::Health { url }) => ask_health(url),
        Some(Command::Admin(command)) => administer(command),
        Some(Command::Check(arguments)) => {
            let report = check::run(&arguments);
            println!("{report}");
            return if report.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("pageviews: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The configuration, with a database that runs for as long as the other part is held.
#[cfg(feature = "private-postgres")]
fn configured() -> Result<(Config, impl Sized), String> {
    crate::private_postgres::unless_configured(Config::load().map_err(line)?).map_err(line)
}

/// The configuration, with a database.
#[cfg(not(feature = "private-postgres"))]
fn configured() -> Result<(Config, ()), String> {
    let config = Config::load().map_err(line)?;
    if !config.has_database() {
        return Err("databases.pageviews.url: no database is configured, and this build has no private one; set DATABASE_URL=postgres://user@host/name".into());
    }
    Ok((config, ()))
}

fn serve() -> Result<(), String> {
    let (config, _database) = configured()?;
    // Not `#[rocket::main]`: it reads `workers` from Rocket's own figment, before ours exists.
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(config.server.workers)
        .max_blocking_threads(config.server.max_blocking)
        .enable_all()
        .build()
        .map_err(|e| {
            format!("cannot start the runtime: {e}; free some memory or threads, or lower ROCKET_WORKERS")
        })?;
    // On a worker, where the connections are. When we are told to stop, each of them asks Caddy to connect anew, which should
    // find that nobody listens any more; a busy machine's main thread would get to closing the port after them.
    let result = runtime.block_on(async { spawn(launch(config)).await.map_err(line)? });
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

async fn launch(config: Config) -> Result<(), String> {
    logging::init(&config);
    let rocket = crate::rocket(&config);
    log::warn!(
        target: logging::LAUNCH,
        "pageviews {}, profile {}",
        env!("CARGO_PKG_VERSION"),
        config.profile.name()
    );
    match rocket.launch().await {
        Ok(rocket) => {
            if let Some(db) = Db::fetch(&rocket) {
                database::close(db).await;
            }
            Ok(())
        }
        Err(error) => match error.kind() {
            // The visitors that were still served had their time.
            ErrorKind::Shutdown(_, None) => Ok(()),
            ErrorKind::Bind(cause) => Err(format!(
                "cannot listen on {}:{}: {cause}; stop what listens there, or set ROCKET_ADDRESS or ROCKET_PORT",
                config.server.address, config.server.port
            )),
            ErrorKind::FailedFairings(parts) => {
                let names: Vec<_> = parts.iter().map(|part| part.name).collect();
                Err(format!(
                    "cannot start: {} failed; the line above says why",
                    names.join(", ")
                ))
            }
            other => Err(format!("cannot start: {}", line(other))),
        },
    }
}

fn administer(command: admin::Command) -> Result<(), String> {
    let (config, _database) = configured()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start the runtime: {e}; free some memory"))?;
    let said = runtime
        .block_on(admin::run(command, &config))
        .map_err(line)?;
    println!("{said}");
    Ok(())
}

fn ask_health(url: Option<String>) -> Result<(), String> {
    let url = match url {
        Some(url) => url,
        // Not localhost, which may mean ::1.
        None => format!(
            "http://127.0.0.1:{}/readyz",
            Config::load().map_err(line)?.server.port
        ),
    };
    println!("{}", health::probe(&url)?);
    Ok(())
}

/// `problem` on one line.
fn line(problem: impl Display) -> String {
    problem
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
