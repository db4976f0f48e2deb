//! What an operator does to the counts from the command line: `pageviews get`, `set`, `list`, `export`.

use std::time::Duration;

use clap::Subcommand;
use rocket::tokio::time;
use sqlx::PgConnection;

use crate::config::Config;
use crate::database;
use crate::page::{Page, Pages};
use crate::templates::thousands;
use crate::views::{history, ledger};

/// How long a command may take: an export of millions of pages, on a busy database.
const PATIENCE: Duration = Duration::from_secs(60);

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Print how often a page was viewed
    Get {
        /// The page, such as / or blog/first-post
        page: Page,
    },
    /// Let a page go on counting from N, as when it was counted elsewhere before
    Set {
        /// The page, such as / or blog/first-post
        page: Page,
        /// How many views it had
        #[arg(value_name = "N", value_parser = clap::value_parser!(i64).range(0..=ledger::LARGEST))]
        views: i64,
        /// Also if N is smaller than the count: numbers that were shown are shown again
        #[arg(long)]
        repeat_numbers: bool,
    },
    /// List the pages with their views, and those of today
    List,
    /// Write the views of all pages as CSV
    Export {
        /// The views of each page and UTC day instead
        #[arg(long)]
        days: bool,
    },
}

/// Runs `command` on the database that `config` names and returns what it has to say.
///
/// # Errors
/// One line: what is wrong, with the cure.
pub async fn run(command: Command, config: &Config) -> Result<String, String> {
    let pages = Pages::of(&config.figment).map_err(|e| e.to_string())?;
    let options = config.connect_options().map_err(|e| e.to_string())?;
    let unusable = |problem: sqlx::Error| {
        let word = database::NotReady::because_of(&problem).word();
        format!("the database is {word}: {problem}; is it running, and DATABASE_URL right?")
    };
    let (mut database, _) = database::connect(&options).await.map_err(unusable)?;
    sqlx::raw_sql("SET statement_timeout = '60s'")
        .execute(&mut database)
        .await
        .map_err(unusable)?;
    let done = time::timeout(PATIENCE, execute(command, &pages, &mut database)).await;
    done.unwrap_or(Err(Failure::Database(sqlx::Error::PoolTimedOut)))
        .map_err(|failure| match failure {
            Failure::Refused(reason) => reason,
            Failure::Database(problem) => unusable(problem),
        })
}

/// Why a command was not done.
enum Failure {
    /// It should not be, for this reason.
    Refused(String),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(problem: sqlx::Error) -> Self {
        Self::Database(problem)
    }
}

async fn execute(
    command: Command,
    pages: &Pages,
    database: &mut PgConnection,
) -> Result<String, Failure> {
    match command {
        Command::Get { page } => match history::totals(database, &[page.as_str()]).await?.first() {
            Some((_, views)) => Ok(views.to_string()),
            None if pages.contain(&page) => Ok("0".into()),
            None => Err(not_counted(&page)),
        },
        Command::Set {
            page,
            views,
            repeat_numbers,
        } => {
            if !pages.contain(&page) {
                return Err(not_counted(&page));
            }
            match ledger::set(database, &page, views, repeat_numbers).await? {
                ledger::Set::Done { before } => Ok(format!("{page}: {before} -> {views}")),
                ledger::Set::Refused { now } => Err(Failure::Refused(format!(
                    "{page} has shown the numbers up to {now}, and would show those above {views} again; if that is meant, add --repeat-numbers"
                ))),
            }
        }
        Command::List => {
            let rows = history::all(database).await?;
            let rows = rows
                .iter()
                .map(|(page, views, today)| [page.clone(), thousands(*views), thousands(*today)]);
            Ok(aligned(["page", "views", "today"].map(String::from), rows))
        }
        Command::Export { days: false } => {
            let rows = history::all(database).await?;
            let rows = rows
                .iter()
                .map(|(page, views, _)| format!("{},{views}", csv(page)));
            Ok(table("page,views", rows))
        }
        Command::Export { days: true } => {
            let rows = history::all_days(database).await?;
            let rows = rows
                .iter()
                .map(|(page, day, views)| format!("{},{day},{views}", csv(page)));
            Ok(table("page,day,views", rows))
        }
    }
}

fn not_counted(page: &Page) -> Failure {
    Failure::Refused(format!(
        "{page} is not counted; add it to `pages`, such as ROCKET_PAGES='[\"{page}\"]'"
    ))
}

/// A table for people: a name on the left, numbers on the right.
fn aligned(head: [String; 3], rows: impl Iterator<Item = [String; 3]>) -> String {
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let [a, b, c] = [0, 1, 2].map(|column| rows.iter().map(|row| row[column].len()).max());
    let (a, b, c) = (a.unwrap_or(0), b.unwrap_or(0), c.unwrap_or(0));
    let lines = rows
        .iter()
        .map(|[page, views, today]| format!("{page:a$}  {views:>b$}  {today:>c$}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A table for programs.
fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    std::iter::once(head.to_string())
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One field, as RFC 4180 wants it. Names of pages need nothing of the kind; a row that was put in by hand may.
fn csv(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.into()
    }
}
