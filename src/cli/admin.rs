//! What an operator does to the counts: `pageviews get`, `set`, `list`, `export`, `import`,
//! `rename` and `delete`, and to the tables that hold them: `pageviews migrate`.

mod import;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use clap::{Subcommand, value_parser};
use rocket::futures::{TryStream, TryStreamExt};
use serde::Serialize;
use sqlx::PgConnection;

use crate::config::Config;
use crate::counter::moves::{self, Renamed, Set};
use crate::counter::{history, totals};
use crate::database::{self, NotReady, within};
use crate::number::thousands;
use crate::page::{AllowedPages, PageName};

/// How long the database may take to answer a command, or to send the next row of an export.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Print how often a page was viewed
    Get {
        /// The page, such as / or blog/first-post
        page: PageName,
    },
    /// Let a page count on from N, such as when it was counted elsewhere before
    Set {
        /// The page, such as / or blog/first-post
        page: PageName,
        /// How many views it had
        #[arg(value_name = "N", value_parser = value_parser!(i64).range(0..=moves::MAX_VIEWS))]
        views: i64,
        /// Allow N to be smaller than the count: numbers may be shown a second time
        #[arg(long)]
        repeat_numbers: bool,
    },
    /// List the pages with their views, and the views of today
    List,
    /// Write the views of all pages as CSV
    Export {
        /// The views of each page and day instead
        #[arg(long)]
        days: bool,
    },
    /// Add views that were counted elsewhere, all of them or none
    Import(import::Arguments),
    /// Move the views of a page to another name
    Rename {
        /// The page that has the views
        old: PageName,
        /// The page that gets them; if it has views of its own, they add up
        new: PageName,
        /// Allow OLD to be counted further: its numbers begin again
        #[arg(long)]
        repeat_numbers: bool,
    },
    /// Forget a page, its views and its days
    Delete {
        /// The page
        page: PageName,
        /// Allow the page to be counted further: its numbers begin again
        #[arg(long)]
        repeat_numbers: bool,
    },
}

/// Runs `command` on the database that `config` names. Writes what it has to say to `output`.
pub async fn run(command: Command, config: &Config, output: &mut impl Write) -> Result<()> {
    // An export takes as long as its reader does.
    let limit = match command {
        Command::Export { .. } | Command::Import(_) => Duration::ZERO,
        _ => TIMEOUT,
    };
    let connect = database::connect(config.database()?, limit).await;
    let (mut database, _) = connect.map_err(explain)?;
    execute(command, config, &mut database, output).await
}

/// Waits for `query`, and explains why it failed.
async fn ask<T, E: Into<database::Error>>(query: impl Future<Output = Result<T, E>>) -> Result<T> {
    within(TIMEOUT, query).await.map_err(explain)
}

fn explain(error: impl Into<database::Error>) -> anyhow::Error {
    let error = error.into();
    if error.is_forbidden() {
        return anyhow!(
            "this role of the database may not do that ({error}); run the command as the owner \
             of the tables, in a cluster with docker-compose run --rm migrate"
        );
    }
    if error.is_locked() {
        return anyhow!("a page is in use ({error}); nothing was changed; try again");
    }
    let reason = NotReady::from(&error);
    let usual = "is it running, and is DATABASE_URL right?";
    let remedy = database::remedy(&error).unwrap_or(usual);
    anyhow!("the database is {reason}: {error}; {remedy}")
}

/// Applies the migrations that are missing, and lets the role `app` count if there is one.
pub async fn migrate(app: Option<String>, config: &Config, output: &mut impl Write) -> Result<()> {
    let applied = database::migrate(config.database()?, app.as_deref()).await;
    let applied = applied.map_err(explain)?;
    for migration in &applied {
        writeln!(output, "applied migration {migration}")?;
    }
    if applied.is_empty() {
        writeln!(output, "the database is up to date")?;
    }
    Ok(())
}

async fn execute(
    command: Command,
    config: &Config,
    database: &mut PgConnection,
    output: &mut impl Write,
) -> Result<()> {
    let pages = &config.pages;
    match command {
        Command::Get { page } => {
            let counts = ask(totals::of_each(database, &[page.as_str()])).await?;
            if counts.is_empty() {
                ensure_counted(pages, &page)?;
            }
            let views = counts.get(page.as_str()).map_or(0, |count| count.views);
            writeln!(output, "{views}")?;
        }
        Command::Set {
            page,
            views,
            repeat_numbers,
        } => {
            ensure_counted(pages, &page)?;
            let set = moves::change(database, async |moves| {
                moves.set(&page, views, repeat_numbers).await
            });
            match ask(set).await? {
                Set::Done { before } => writeln!(output, "{page}: {before} -> {views}")?,
                Set::Refused { now } => bail!(
                    "the count of {page} is {now}; from {views} on, numbers up to {now} may be \
                     shown a second time; add --repeat-numbers if that is meant"
                ),
            }
        }
        Command::List => {
            list(ask(history::all(database).try_collect()).await?, output)?;
        }
        Command::Export { days: false } => {
            let rows = history::all(database).map_ok(|(page, views, _)| (cell(page), views));
            export(&["page", "views"], rows, output).await?;
        }
        Command::Export { days: true } => {
            export(
                &["page", "day", "views"],
                history::all_days(database).map_ok(|(page, day, views)| (cell(page), day, views)),
                output,
            )
            .await?;
        }
        Command::Import(arguments) => import::run(&arguments, config, database, output).await?,
        Command::Rename {
            old,
            new,
            repeat_numbers,
        } => {
            ensure!(old != new, "{old} and {new} are the same page");
            ensure_counted(pages, &new)?;
            ensure_may_begin_again(pages, &old, repeat_numbers)?;
            let rename = moves::change(database, async |moves| moves.rename(&old, &new).await);
            match ask(rename).await? {
                Renamed::Missing => bail!("there is no page {old}"),
                Renamed::Done { views, before: 0 } => {
                    writeln!(output, "{old} -> {new}: {views}")?;
                }
                Renamed::Done { views, before } => writeln!(
                    output,
                    "{old} -> {new}: {views}, with the {before} that {new} had"
                )?,
            }
        }
        Command::Delete {
            page,
            repeat_numbers,
        } => {
            ensure_may_begin_again(pages, &page, repeat_numbers)?;
            let delete = moves::change(database, async |moves| moves.delete(&page).await);
            match ask(delete).await? {
                None => bail!("there is no page {page}"),
                Some(views) => writeln!(output, "{page}: {views} -> deleted")?,
            }
        }
    }
    Ok(())
}

/// The next view of a page that is gone would be number 1 again.
fn ensure_may_begin_again(pages: &AllowedPages, page: &PageName, may: bool) -> Result<()> {
    ensure!(
        may || !pages.contains(page),
        "{page} is still counted, and would begin again at 1; remove it from `pages` first, or add \
         --repeat-numbers if that is meant"
    );
    Ok(())
}

fn ensure_counted(pages: &AllowedPages, page: &PageName) -> Result<()> {
    ensure!(
        pages.contains(page),
        "{page} is not counted; add it to `pages`: ROCKET_PAGES='{}'",
        pages.setting_with(page)
    );
    Ok(())
}

/// A table for people: names on the left, numbers on the right.
fn list(rows: Vec<(String, i64, i64)>, output: &mut impl Write) -> io::Result<()> {
    let head = ["page", "views", "today"].map(String::from);
    let text = |(page, views, today)| [page, thousands(views), thousands(today)];
    let rows: Vec<_> = std::iter::once(head)
        .chain(rows.into_iter().map(text))
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let (a, b, c) = (width(0), width(1), width(2));
    for [page, views, today] in &rows {
        writeln!(output, "{page:a$}  {views:>b$}  {today:>c$}")?;
    }
    Ok(())
}

/// `page` in a table that somebody may open in a spreadsheet. A visitor may have made up a name
/// that is a formula there. A slash before a name changes nothing else.
fn cell(page: String) -> String {
    match page.starts_with(['=', '+', '-', '@']) {
        true => format!("/{page}"),
        false => page,
    }
}

/// A table for programs, written row by row as the database sends it.
async fn export<T: Serialize>(
    head: &[&str],
    rows: impl TryStream<Ok = T, Error = sqlx::Error>,
    output: &mut impl Write,
) -> Result<()> {
    let mut table = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(output);
    table.write_record(head).map_err(unwritten)?;
    let mut rows = std::pin::pin!(rows.into_stream());
    while let Some(row) = ask(rows.try_next()).await? {
        table.serialize(row).map_err(unwritten)?;
    }
    table.flush()?;
    Ok(())
}

/// Unwraps the error of csv, so that `main` can recognise a closed pipe.
fn unwritten(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => anyhow!("cannot write the table: {other:?}"),
    }
}
