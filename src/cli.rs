//! The command line: arguments, exit codes and the runtime. The only place that ends the program.

mod admin;
mod check;
mod development;
mod probe;
mod serve;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use rocket::tokio::runtime;

use self::development::with_database;
use crate::config::Config;

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
    /// Bring the tables of the database up to date, as their owner
    ///
    /// The server and the other commands do this by themselves if their role may.
    Migrate {
        /// Let this role count: it may read, insert and update rows
        #[arg(long, value_name = "ROLE")]
        grant_to: Option<String>,
    },
    #[command(flatten)]
    Admin(admin::Command),
}

/// Runs the program. Wrong arguments end it with exit code 2. Anything else that fails ends it
/// with exit code 1 and one line.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        None => serve::serve(),
        Some(Command::Health { url }) => ask_health(url),
        Some(Command::Check(arguments)) => run_check(&arguments),
        Some(Command::Migrate { grant_to }) => {
            administer(async |config, output| admin::migrate(grant_to, config, output).await)
        }
        Some(Command::Admin(command)) => {
            administer(async |config, output| admin::run(command, config, output).await)
        }
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

type Output = io::BufWriter<io::Stdout>;

/// Does `work` on the configured database.
fn administer(work: impl AsyncFnOnce(&Config, &mut Output) -> Result<()>) -> Result<()> {
    let (config, _database) = with_database(Config::load()?)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut output = io::BufWriter::new(io::stdout());
    runtime.block_on(work(&config, &mut output))?;
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
