//! `pageviews import`: views that were counted elsewhere, read from CSV.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::{ReaderBuilder, StringRecord, Trim};
use sqlx::PgConnection;
use time::Date;
use time::macros::format_description;

use super::{TIMEOUT, ask};
use crate::config::Config;
use crate::counter::moves::{Added, MAX_VIEWS, Moves};
use crate::counter::{history, settings};
use crate::database::within;
use crate::number::thousands;
use crate::page::{AllowedPages, InvalidPageName, PageName};

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
    let today = ask(history::today(&mut *database)).await?;
    let text = match arguments.file.as_str() {
        "-" => text(io::stdin()).context("cannot read the standard input"),
        file => File::open(file)
            .map_err(anyhow::Error::from)
            .and_then(text)
            .with_context(|| format!("cannot read {file}")),
    }?;
    let views = parse(&text, &config.pages, &today)?;
    let mut moves = ask(Moves::begin(database)).await?;
    let pages_before = ask(moves.pages()).await?;
    let existing = add(&views, arguments.add, &mut moves).await?;
    let pages = ask(moves.pages()).await?;
    let limit = i64::from(config.counting.page_limit.get());
    ensure!(
        pages <= limit || pages == pages_before,
        "there would be {} pages, and page_limit is {}; nothing was imported; raise \
         ROCKET_PAGE_LIMIT",
        thousands(pages),
        thousands(limit)
    );
    let total = sum(views.values().flat_map(BTreeMap::values));
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
    let committed = ask(moves.commit()).await;
    committed
        .context("perhaps nothing was imported, and perhaps all: look before you try again")?;
    // What fails from here on is no failure of the import: somebody would try it again, and add
    // everything twice.
    let recounted = within(TIMEOUT, settings::count_pages(database)).await;
    let _ = writeln!(output, "imported {what}{also}");
    if let Err(error) = recounted {
        let _ = writeln!(
            io::stderr(),
            "the new pages do not count towards page_limit until the app is started again: {error}"
        );
    }
    Ok(())
}

fn sum<'v>(views: impl Iterator<Item = &'v i64>) -> i64 {
    views.fold(0, |sum, views| sum.saturating_add(*views))
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
            chunk.push((page.as_str(), sum(days.values())));
            rows.extend(days.iter().map(|(day, views)| Added {
                page: page.as_str(),
                day: day.as_deref(),
                views: *views,
            }));
        }
        let names: Vec<_> = chunk.iter().map(|(page, _)| *page).collect();
        let before = ask(moves.lock(&names)).await?;
        for ((page, added), before) in chunk.iter().zip(before) {
            ensure!(
                may_add || before == 0,
                "{page} has {} views already; nothing was imported; add --add to add to them",
                thousands(before)
            );
            ensure!(
                added.saturating_add(before) <= MAX_VIEWS,
                "{page} would have more than {} views; nothing was imported",
                thousands(MAX_VIEWS)
            );
            existing += i64::from(before > 0);
        }
        ask(moves.add(&rows)).await?;
        done += chunk.len();
        if told.elapsed() > PROGRESS_INTERVAL {
            let (done, all) = (thousands(done as i64), thousands(views.len() as i64));
            let _ = writeln!(io::stderr(), "{done} of {all} pages");
            told = Instant::now();
        }
    }
    Ok(existing)
}

/// All of `file`, with one kind of ends of lines, so that lines can be counted.
fn text(mut file: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let (valid, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        anyhow!("line {line} is not UTF-8")
    })?;
    Ok(match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    })
}

/// Reads CSV. Lines about the same page and day, such as of two spellings of a name, add up.
fn parse(text: &str, pages: &AllowedPages, today: &str) -> Result<Views> {
    let mut lines = ReaderBuilder::new()
        .trim(Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let head = lines.headers().context("cannot read the file")?.clone();
    let columns = Columns::find(&head)?;
    let (mut views, mut wrong, mut more) = (Views::new(), Vec::new(), 0);
    let mut line = StringRecord::new();
    while lines
        .read_record(&mut line)
        .context("cannot read the file")?
    {
        match columns.parse(&line, &head, pages, today) {
            Ok((page, day, count)) => {
                let sum: &mut i64 = views.entry(page).or_default().entry(day).or_default();
                *sum = sum.saturating_add(count);
            }
            Err(problem) if wrong.len() < MAX_EXAMPLES => {
                wrong.push(format!("line {}: {problem}", number(&line, text)));
            }
            Err(_) => more += 1,
        }
    }
    let more = match more {
        0 => String::new(),
        more => format!("; and {} more wrong lines", thousands(more)),
    };
    ensure!(
        wrong.is_empty(),
        "nothing was imported: {}{more}",
        wrong.join("; ")
    );
    Ok(views)
}

/// The number of a line of `text`. The reader's own number is that of empty lines before it.
fn number(line: &StringRecord, text: &str) -> u64 {
    let Some(position) = line.position() else {
        return 0;
    };
    let rest = text.as_bytes().iter().skip(position.byte() as usize);
    position.line() + rest.take_while(|byte| **byte == b'\n').count() as u64
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
                 commas between them; it is {}",
                quoted(&head.iter().collect::<Vec<_>>().join(","))
            ),
        }
    }

    fn parse(
        &self,
        line: &StringRecord,
        head: &StringRecord,
        pages: &AllowedPages,
        today: &str,
    ) -> Result<(PageName, Option<String>, i64)> {
        let (found, expected) = (line.len(), head.len());
        ensure!(
            found == expected,
            "it has {found} columns, and line 1 has {expected}"
        );
        let field = |column: usize| line.get(column).unwrap_or_default();
        let name = field(self.page);
        let page: PageName = name
            .parse()
            .map_err(|problem: InvalidPageName| anyhow!("{} is {problem}", quoted(name)))?;
        ensure!(
            pages.contains(&page),
            "{page} is not counted; add it to ROCKET_PAGES"
        );
        let views = field(self.views);
        let count = views.parse().ok();
        let count = count.filter(|count| (0..=MAX_VIEWS).contains(count));
        let count = count.with_context(|| {
            format!(
                "{} is not a whole number from 0 to {MAX_VIEWS}",
                quoted(views)
            )
        })?;
        let day = self.day.map(field).filter(|day| !day.is_empty());
        if let Some(day) = day {
            let form = format_description!("[year]-[month]-[day]");
            // A year may have a sign and more digits, which the database would not understand.
            let is_day = day.len() == 10 && day >= "0001" && Date::parse(day, form).is_ok();
            ensure!(is_day, "{} is not a day such as 2026-01-31", quoted(day));
            ensure!(day <= today, "{day} is still to come");
        }
        Ok((page, day.map(String::from), count))
    }
}

/// The begin of a wrong text.
fn quoted(text: &str) -> String {
    let begin: String = text.chars().take(60).collect();
    format!("{begin:?}")
}
