//! `pageviews check`: asks every hop of a running cluster whether it does its work, from inside its network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::health;

/// How long one hop may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What to ask.
#[derive(clap::Args)]
pub struct Arguments {
    /// The page as the web server shows it, such as http://web:8080
    url: String,
    /// The app behind it, as the web server finds it
    #[arg(long, value_name = "HOST:PORT", default_value = "app:8000")]
    app: String,
    /// How many views to count
    #[arg(long, default_value_t = 60)]
    views: u32,
}

/// What was found at one hop: that it works and how, or what is broken.
type Finding = Result<String, String>;

/// A line for each hop, in the order in which a view passes them.
#[derive(Default)]
pub struct Report(Vec<(&'static str, Finding)>);

impl Report {
    /// Whether every hop works.
    pub fn passed(&self) -> bool {
        self.0.iter().all(|(_, finding)| finding.is_ok())
    }

    /// Notes what was found at `hop`; whether it works.
    fn note(&mut self, hop: &'static str, finding: Finding) -> bool {
        let works = finding.is_ok();
        self.0.push((hop, finding));
        works
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (hop, finding) in &self.0 {
            match finding {
                Ok(fact) => writeln!(f, "  ok      {hop:<9} {fact}")?,
                Err(problem) => writeln!(f, "  BROKEN  {hop:<9} {problem}")?,
            }
        }
        match self.0.iter().find(|(_, finding)| finding.is_err()) {
            None => write!(f, "pass: every part of the cluster talks to the next"),
            Some((hop, _)) => write!(f, "fail: look at {hop} first"),
        }
    }
}

/// Asks every hop. Where a hop is broken, those that need it are not asked.
pub fn run(arguments: &Arguments) -> Report {
    let mut report = Report::default();
    let url = arguments.url.trim_end_matches('/');
    let web = url.split_once("://").map_or(url, |(_, rest)| rest);
    let web = if web.contains(':') {
        web.to_string()
    } else {
        format!("{web}:80")
    };

    let (web_found, app_found) = (addresses(&web), addresses(&arguments.app));
    let names =
        [(&web, &web_found), (&arguments.app, &app_found)].map(|(name, found)| match found {
            Ok(found) => Ok(format!("{name} is {}", join(found))),
            Err(problem) => Err(format!(
                "{name} has no address: {problem}; is that service running?"
            )),
        });
    let [web_named, app_named] = names;
    if !report.note(
        "DNS",
        web_named.and_then(|web| Ok(format!("{web}; {}", app_named?))),
    ) && web_found.is_err()
    {
        return report;
    }
    let app = app_found.unwrap_or_default();
    if !report.note("Caddy", answers(&web)) {
        return report;
    }
    let port = arguments
        .app
        .rsplit_once(':')
        .map_or("8000", |(_, port)| port);
    if !report.note("App", each(&app, port, "/healthz"))
        || !report.note("Database", each(&app, port, "/readyz"))
    {
        return report;
    }
    match page(url) {
        Err(problem) => {
            report.note("Page", Err(problem));
        }
        Ok(page) => {
            report.note(
                "Page",
                Ok(format!(
                    "view {} from {}, {}",
                    page.number, page.replica, page.database
                )),
            );
            report.note("Headers", headers(&page.headers));
            count(url, arguments.views, app.len(), &mut report);
        }
    }
    report
}

/// Views the page `views` times: the count must move by as many, and no number come twice.
fn count(url: &str, views: u32, replicas: usize, report: &mut Report) {
    let begun = Instant::now();
    let pages: Result<Vec<Page>, String> = (0..views).map(|_| page(url)).collect();
    let took = begun.elapsed();
    let pages = match pages {
        Ok(pages) if !pages.is_empty() => pages,
        Ok(_) => return,
        Err(problem) => {
            report.note("Count", Err(problem));
            return;
        }
    };
    let numbers: BTreeSet<i64> = pages.iter().map(|page| page.number).collect();
    let (first, last) = (pages[0].number, pages[pages.len() - 1].number);
    let moved = last - first + 1;
    let strangers = || {
        // As long a time without a view of ours: whoever moves the count now is somebody else.
        std::thread::sleep(took);
        page(url).is_ok_and(|page| page.number > last + 1)
    };
    let finding = if numbers.len() != pages.len() {
        Err(format!(
            "{views} views, but only {} different numbers from {first} to {last}",
            numbers.len()
        ))
    } else if moved == i64::from(views) {
        Ok(format!(
            "{views} views moved it by exactly {moved}, from {first} to {last}, no number twice"
        ))
    } else if moved > i64::from(views) && strangers() {
        Ok(format!(
            "{views} views, no number twice, from {first} to {last}; the rest are other visitors'"
        ))
    } else {
        Err(format!(
            "{views} views moved it by {moved}, from {first} to {last}"
        ))
    };
    report.note("Count", finding);

    let mut answered = BTreeMap::<&str, u32>::new();
    for page in &pages {
        *answered.entry(&page.replica).or_default() += 1;
    }
    let shares = answered
        .iter()
        .map(|(replica, views)| format!("{replica} {views}×"));
    let shares = shares.collect::<Vec<_>>().join(", ");
    let finding = match answered.len() {
        found if found == replicas => Ok(format!("{found} answered: {shares}")),
        found => Err(format!("{found} of {replicas} answered: {shares}")),
    };
    report.note("Replicas", finding);
}

/// The addresses of `host_and_port`.
fn addresses(host_and_port: &str) -> Result<Vec<IpAddr>, String> {
    let found = host_and_port.to_socket_addrs().map_err(|e| e.to_string())?;
    let found: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    Ok(found.into_iter().collect())
}

fn answers(host_and_port: &str) -> Finding {
    let found = host_and_port.to_socket_addrs().map_err(|e| e.to_string())?;
    let mut problem = "no address".to_string();
    for address in found {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(_) => return Ok(format!("listens on {address}")),
            Err(e) => problem = e.to_string(),
        }
    }
    Err(format!(
        "{host_and_port} does not accept connections: {problem}"
    ))
}

/// Asks each replica for `path`, past the web server.
fn each(replicas: &[IpAddr], port: &str, path: &str) -> Finding {
    for replica in replicas {
        health::probe(&format!("http://{replica}:{port}{path}"))?;
    }
    match replicas.len() {
        0 => Err("no replica runs".into()),
        1 => Ok(format!("the one replica says yes to {path}")),
        count => Ok(format!("all {count} replicas say yes to {path}")),
    }
}

/// What a page says.
struct Page {
    number: i64,
    replica: String,
    database: String,
    headers: Vec<(String, String)>,
}

/// Views the page once.
fn page(url: &str) -> Result<Page, String> {
    let answer = minreq::get(format!("{url}/"))
        .with_timeout(TIMEOUT.as_secs())
        .send()
        .map_err(|e| format!("{url} does not answer: {e}"))?;
    if answer.status_code != 200 {
        return Err(format!(
            "{url} answers {} {}",
            answer.status_code, answer.reason_phrase
        ));
    }
    let html = answer
        .as_str()
        .map_err(|e| format!("{url} answers no text: {e}"))?;
    let between = |before: &str, after: char| {
        let (_, rest) = html.split_once(before)?;
        rest.split(after).next()
    };
    let number = between(r#"<data id="views" value=""#, '"').and_then(|number| number.parse().ok());
    let part = |id: &str| {
        between(&format!(r#"id="{id}">"#), '<')
            .unwrap_or("?")
            .to_string()
    };
    Ok(Page {
        number: number.ok_or_else(|| format!("{url} answers a page without a number"))?,
        replica: part("replica"),
        database: format!(
            "database {}, PostgreSQL {}",
            part("database"),
            part("database-version")
        ),
        headers: answer.headers.clone(),
    })
}

/// The headers that keep a visit from being cached, and the page from being misused.
fn headers(found: &[(String, String)]) -> Finding {
    let wanted = [
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("permissions-policy", "camera=()"),
    ];
    for (name, part) in wanted {
        let values: Vec<_> = found
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .collect();
        match values[..] {
            [(_, value)] if value.contains(part) => {}
            [] => return Err(format!("{name} is missing")),
            _ => return Err(format!("{name} is not {part}")),
        }
    }
    if found
        .iter()
        .any(|(key, _)| key.eq_ignore_ascii_case("server"))
    {
        return Err("the Server header tells what answers".into());
    }
    Ok("not cached, strict content policy, no framing, no referrer, no Server".into())
}

fn join(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .map(IpAddr::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
