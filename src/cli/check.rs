//! `pageviews check`: asks every part of a running cluster, from inside its network.

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use anyhow::{Context, Result, bail, ensure};
use rocket::serde::json;

use self::Finding::{Broken, Warning, Works};
use self::page::Page;
use super::probe::probe;
use crate::web::operations::Pages;

/// How long the page may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What to ask.
#[derive(clap::Args)]
pub struct Arguments {
    /// The page as the web server shows it to this check, such as http://web:8080
    url: String,
    /// The app behind it, as the web server finds it
    #[arg(long, value_name = "HOST:PORT", default_value = "app:8000")]
    app: String,
    /// How many views to count
    #[arg(long, default_value_t = 60)]
    views: u32,
}

enum Finding {
    Works(String),
    /// It works, and the owner should know this.
    Warning(String),
    Broken(String),
}

/// The findings, in the order in which a view passes the parts.
#[derive(Default)]
pub struct Report(Vec<(&'static str, Finding)>);

impl Report {
    pub fn passed(&self) -> bool {
        self.first_broken().is_none()
    }

    fn first_broken(&self) -> Option<&'static str> {
        self.0
            .iter()
            .find(|(_, finding)| matches!(finding, Broken(_)))
            .map(|(part, _)| *part)
    }

    /// Notes what was found of `part`, and `describe`s it if it works.
    fn note<T>(
        &mut self,
        part: &'static str,
        found: Result<T>,
        describe: impl FnOnce(&T) -> Finding,
    ) -> Option<T> {
        let finding = match &found {
            Ok(found) => describe(found),
            Err(problem) => Broken(format!("{problem:#}")),
        };
        self.0.push((part, finding));
        found.ok()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, finding) in &self.0 {
            let (word, text) = match finding {
                Works(fact) => ("ok", fact),
                Warning(warning) => ("WARNING", warning),
                Broken(problem) => ("BROKEN", problem),
            };
            writeln!(f, "  {word:<7} {part:<9} {text}")?;
        }
        match self.first_broken() {
            None => write!(f, "pass: every part of the cluster talks to the next"),
            Some(part) => write!(f, "fail: look at {part} first"),
        }
    }
}

/// Asks part after part, up to one that is broken and that the rest needs.
pub fn run(arguments: &Arguments) -> Report {
    let mut report = Report::default();
    ask(arguments, &mut report);
    report
}

fn ask(arguments: &Arguments, report: &mut Report) -> Option<()> {
    let Arguments { url, app, views } = arguments;
    let url = url.trim_end_matches('/');
    let web = url.split_once("://").map_or(url, |(_, rest)| rest);
    let web = &match web.contains(':') {
        true => web.to_string(),
        false => format!("{web}:80"),
    };
    let mut look_up = |name| {
        report.note("DNS", resolve(name), |found| {
            Works(format!("{name} is {}", join(found)))
        })
    };
    look_up(web)?;
    let replicas = look_up(app)?;
    report.note("Caddy", probe(&format!("{url}/up")), |_| {
        Works(format!("answers at {url}"))
    })?;
    let port = app.rsplit(':').next()?;
    for (part, path) in [("App", "/healthz"), ("Database", "/readyz")] {
        report.note(
            part,
            ask_each(&replicas, port, path),
            |answers| match answers.len() {
                1 => Works(format!("the one replica says yes to {path}")),
                count => Works(format!("all {count} replicas say yes to {path}")),
            },
        )?;
    }
    report.note("Pages", counted_pages(&replicas, port), |pages| {
        let counted = pages.counted.join(", ");
        match pages.unlisted.count {
            0 => Works(format!("counted are {counted}")),
            _ => Warning(format!("counted are {counted}; {}", pages.unlisted)),
        }
    });
    let page = report.note("Page", Page::view(url, TIMEOUT), |page| {
        Works(format!(
            "view {} from {}, {}",
            page.number, page.replica, page.database
        ))
    })?;
    report.note("Headers", page.check_headers(), |()| {
        Works("not cached, strict content policy, no framing, no referrer, no Server".into())
    });
    let pages = report
        .note("Count", count(url, *views), |(_, fact)| Works(fact.clone()))?
        .0;
    report.note("Replicas", shares(&pages, replicas.len()), |fact| {
        Works(fact.clone())
    });
    Some(())
}

/// Views the page `views` times: the count has to move by as many, and no number may come twice.
fn count(url: &str, views: u32) -> Result<(Vec<Page>, String)> {
    let begun = Instant::now();
    let pages = (0..views)
        .map(|_| Page::view(url, TIMEOUT))
        .collect::<Result<Vec<_>>>()?;
    let took = begun.elapsed();
    let numbers: BTreeSet<i64> = pages.iter().map(|page| page.number).collect();
    let first = pages.first().context("--views has to be above 0")?.number;
    let last = pages.last().map_or(first, |page| page.number);
    let (moved, range) = (last - first + 1, format!("from {first} to {last}"));
    let others_visit = || {
        // For as long again we view nothing. If the count still moves, somebody else moves it.
        thread::sleep(took);
        Page::view(url, TIMEOUT).is_ok_and(|page| page.number > last + 1)
    };
    let different = numbers.len();
    ensure!(
        different == pages.len(),
        "{views} views, but only {different} numbers {range}"
    );
    if moved == i64::from(views) {
        let fact = format!("{views} views moved it by exactly {moved}, {range}, no number twice");
        return Ok((pages, fact));
    }
    ensure!(
        moved > i64::from(views) && others_visit(),
        "{views} views moved it by {moved}, {range}"
    );
    Ok((
        pages,
        format!("{views} views, no number twice, {range}; others visit as well"),
    ))
}

/// How many of the `pages` came from each replica. Each has to answer.
fn shares(pages: &[Page], replicas: usize) -> Result<String> {
    let mut shares = BTreeMap::<&str, u32>::new();
    for page in pages {
        *shares.entry(&page.replica).or_default() += 1;
    }
    let found = shares.len();
    let shares: Vec<_> = shares
        .iter()
        .map(|(name, views)| format!("{name} {views}×"))
        .collect();
    let shares = shares.join(", ");
    ensure!(
        found == replicas,
        "{found} of {replicas} answered: {shares}"
    );
    Ok(format!("{found} answered: {shares}"))
}

/// Which pages the replicas count. All of them have to count the same.
fn counted_pages(replicas: &[IpAddr], port: &str) -> Result<Pages> {
    let parse = |text: &String| json::from_str(text).context("the app answers no list of pages");
    let answers = ask_each(replicas, port, "/configz")?;
    let mut pages = answers.iter().map(parse).collect::<Result<Vec<Pages>>>()?;
    let first = pages.pop().context("no replica runs")?;
    if pages.iter().any(|other| other.counted != first.counted) {
        bail!("the replicas count different pages; run docker-compose up -d");
    }
    Ok(first)
}

/// Asks each replica for `path`, past the web server.
fn ask_each(replicas: &[IpAddr], port: &str, path: &str) -> Result<Vec<String>> {
    let ask = |replica: &IpAddr| match replica {
        IpAddr::V4(replica) => probe(&format!("http://{replica}:{port}{path}")),
        IpAddr::V6(replica) => probe(&format!("http://[{replica}]:{port}{path}")),
    };
    replicas.iter().map(ask).collect()
}

fn resolve(host_and_port: &str) -> Result<Vec<IpAddr>> {
    let problem = || format!("{host_and_port} has no address; is that service running?");
    let found = host_and_port.to_socket_addrs().with_context(problem)?;
    let found: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    // With both kinds of address, each container has one of each.
    let (v4, v6): (Vec<_>, Vec<_>) = found.into_iter().partition(IpAddr::is_ipv4);
    Ok(if v4.is_empty() { v6 } else { v4 })
}

fn join(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .map(IpAddr::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
