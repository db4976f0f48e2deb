//! `pageviews import`: views that were counted elsewhere, read from CSV.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::{ReaderBuilder, StringRecord, Trim};
use sqlx::PgConnection;
use time::Date;
use time::macros::format_description;

use super::{TIMEOUT, explain};
use crate::config::Config;
use crate::counter::history;
use crate::counter::ledger::MAX_VIEWS;
use crate::counter::moves::{Added, Moves};
use crate::database::within;
use crate::number::thousands;
use crate::page::{AllowedPages, PageName};

/// How many wrong lines an error names.
const MAX_EXAMPLES: usize = 5;

/// How many rows go to the database at a time.
const CHUNK: usize = 5_000;

/// How often a long import says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// What to import, and how.
#[derive(clap::Args)]
pub struct Arguments {
    /// A file with the columns page and views, or page, day and views; - is the standard input
    file: String,
    /// Add to pages that have views already, instead of refusing them
    #[arg(long)]
    add: bool,
    /// Change nothing, and say what would happen
    #[arg(long)]
    dry_run: bool,
}

/// The views of each page on each day. The views of no day come first.
type Views = BTreeMap<PageName, BTreeMap<Option<String>, i64>>;

/// Imports a file: all of it or nothing.
pub async fn run(
    arguments: &Arguments,
    config: &Config,
    database: &mut PgConnection,
    output: &mut impl Write,
) -> Result<()> {
    let today = within(TIMEOUT, history::today(&mut *database))
        .await
        .map_err(explain)?;
    let views = match arguments.file.as_str() {
        "-" => read(io::stdin(), &config.pages, &today),
        file => {
            let open = File::open(Path::new(file));
            let file = open.with_context(|| format!("cannot open {file}"))?;
            read(BufReader::new(file), &config.pages, &today)
        }
    }?;
    let mut moves = within(TIMEOUT, Moves::begin(database))
        .await
        .map_err(explain)?;
    let existing = add(&views, arguments.add, &mut moves).await?;
    let pages = within(TIMEOUT, moves.pages()).await.map_err(explain)?;
    let limit = i64::from(config.counting.page_limit.get());
    ensure!(
        pages <= limit,
        "there would be {} pages, and page_limit is {}; nothing was imported; raise \
         ROCKET_PAGE_LIMIT",
        thousands(pages),
        thousands(limit)
    );
    let all = views.values().flat_map(BTreeMap::values);
    let total = all.fold(0_i64, |sum, views| sum.saturating_add(*views));
    let what = format!(
        "{} of {}",
        counted(total, "view"),
        counted(views.len() as i64, "page")
    );
    let also = match existing {
        0 => String::new(),
        existing => format!(
            "; {} of the pages had views, and have more now",
            thousands(existing)
        ),
    };
    if arguments.dry_run {
        writeln!(output, "would import {what}{also}; nothing was changed")?;
        return Ok(());
    }
    within(TIMEOUT, moves.commit()).await.map_err(explain)?;
    writeln!(output, "imported {what}{also}")?;
    Ok(())
}

/// A number of things: `1 page`, `2 pages`.
fn counted(number: i64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(number))
}

/// Adds `views`. Returns how many of the pages had views before.
async fn add(views: &Views, may_add: bool, moves: &mut Moves<'_>) -> Result<i64> {
    let (mut existing, mut done, mut told) = (0, 0, Instant::now());
    let mut pages = views.iter().peekable();
    while pages.peek().is_some() {
        let (mut chunk, mut rows) = (Vec::new(), Vec::new());
        while rows.len() < CHUNK
            && let Some((page, days)) = pages.next()
        {
            chunk.push((page.as_str(), days.values().sum::<i64>()));
            rows.extend(days.iter().map(|(day, views)| Added {
                page: page.as_str(),
                day: day.as_deref(),
                views: *views,
            }));
        }
        let names: Vec<_> = chunk.iter().map(|(page, _)| *page).collect();
        let before = within(TIMEOUT, moves.lock(&names)).await.map_err(explain)?;
        for ((page, added), before) in chunk.iter().zip(before) {
            ensure!(
                may_add || before == 0,
                "{page} has {} views already; nothing was imported; add --add to add to them",
                thousands(before)
            );
            ensure!(
                before + added <= MAX_VIEWS,
                "{page} would have more than {} views; nothing was imported",
                thousands(MAX_VIEWS)
            );
            existing += i64::from(before > 0);
        }
        within(TIMEOUT, moves.add(&rows)).await.map_err(explain)?;
        done += chunk.len();
        if told.elapsed() > PROGRESS_INTERVAL {
            let (done, all) = (thousands(done as i64), thousands(views.len() as i64));
            let _ = writeln!(io::stderr(), "{done} of {all} pages");
            told = Instant::now();
        }
    }
    Ok(existing)
}

/// The places of the columns in a line.
struct Columns {
    page: usize,
    day: Option<usize>,
    views: usize,
}

impl Columns {
    fn find(head: &StringRecord) -> Result<Self> {
        let find = |name: &str| {
            head.iter()
                .position(|column| column.eq_ignore_ascii_case(name))
        };
        match (find("page"), find("views")) {
            (Some(page), Some(views)) => Ok(Self {
                page,
                day: find("day"),
                views,
            }),
            _ => bail!(
                "line 1 has to name the columns page and views, or page, day and views, with \
                 commas between them; it is {:?}",
                head.iter().collect::<Vec<_>>().join(",")
            ),
        }
    }
}

/// Reads CSV. Lines about the same page and day, such as of two spellings of a name, add up.
fn read(file: impl Read, pages: &AllowedPages, today: &str) -> Result<Views> {
    let mut lines = ReaderBuilder::new()
        .trim(Trim::All)
        .flexible(true)
        .from_reader(file);
    let columns = Columns::find(lines.headers().context("cannot read the file")?)?;
    let (mut views, mut wrong) = (Views::new(), Vec::new());
    let mut line = StringRecord::new();
    loop {
        match lines.read_record(&mut line) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => match error.kind() {
                csv::ErrorKind::Utf8 { pos, .. } => {
                    wrong.push((
                        pos.as_ref().map_or(0, csv::Position::line),
                        "not UTF-8".into(),
                    ));
                    continue;
                }
                _ => return Err(error).context("cannot read the file"),
            },
        }
        let number = line.position().map_or(0, csv::Position::line);
        match parse(&line, &columns, pages, today) {
            Ok((page, day, count)) => {
                let sum = views.entry(page).or_default().entry(day).or_default();
                *sum = i64::saturating_add(*sum, count);
            }
            Err(problem) => wrong.push((number, problem.to_string())),
        }
    }
    for (page, days) in &views {
        let sum = days
            .values()
            .fold(0_i64, |sum, views| sum.saturating_add(*views));
        ensure!(
            sum <= MAX_VIEWS,
            "{page} would have more than {} views; nothing was imported",
            thousands(MAX_VIEWS)
        );
    }
    if wrong.is_empty() {
        return Ok(views);
    }
    let examples: Vec<_> = wrong
        .iter()
        .take(MAX_EXAMPLES)
        .map(|(line, problem)| format!("line {line}: {problem}"))
        .collect();
    let more = match wrong.len().saturating_sub(MAX_EXAMPLES) {
        0 => String::new(),
        more => format!("; and {} more wrong lines", thousands(more as i64)),
    };
    bail!("nothing was imported: {}{more}", examples.join("; "))
}

fn parse(
    line: &StringRecord,
    columns: &Columns,
    pages: &AllowedPages,
    today: &str,
) -> Result<(PageName, Option<String>, i64)> {
    let field = |column: usize| line.get(column).unwrap_or_default();
    let name = field(columns.page);
    let page: PageName = name
        .parse()
        .map_err(|_| anyhow!("{name:?} is not the name of a page"))?;
    ensure!(
        pages.contains(&page),
        "{page} is not counted; add it to ROCKET_PAGES"
    );
    let views = field(columns.views);
    let count: i64 = views
        .parse()
        .ok()
        .filter(|views| (0..=MAX_VIEWS).contains(views))
        .with_context(|| format!("{views:?} is not a whole number from 0 to {MAX_VIEWS}"))?;
    let day = columns.day.map(field).filter(|day| !day.is_empty());
    if let Some(day) = day {
        let form = format_description!("[year]-[month]-[day]");
        ensure!(
            Date::parse(day, form).is_ok(),
            "{day:?} is not a day such as 2026-01-31"
        );
        ensure!(day <= today, "{day} is still to come");
    }
    Ok((page, day.map(String::from), count))
}
