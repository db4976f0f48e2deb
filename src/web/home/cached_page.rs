//! The page `/`, drawn at most once a second, without the part that differs from view to view.
//!
//! `home.html.j2` is the page, and prints the fragment `count` once. `count.html.j2` is the
//! fragment, and is rendered for each view with its number. To render the whole page for each view
//! would cost several times as much: see "What was tried" in bench/README.md.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rocket::request::Request;
use rocket::response::content::RawHtml;
use rocket::response::{self, Responder};
use rocket::tokio::sync;
use rocket_dyn_templates::minijinja::{Environment, Error, ErrorKind, Value, context};
use sqlx::PgConnection;

use super::gzip::{Frame, ReadsGzip};
use crate::counter::CountError;
use crate::counter::history::{self, History};
use crate::database::{Pool, Readiness, Server, query};
use crate::page::PageName;
use crate::web::templates::Templates;
use crate::web::visit::Count;
use crate::web::{chart, error};

/// How old the page may be, without the numbers, which are always exact.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How old the page may be while it is drawn anew, or while its history cannot be read.
const MAX_STALE_AGE: Duration = Duration::from_secs(2);

/// How long the page waits for its history.
const HISTORY_TIMEOUT: Duration = Duration::from_millis(500);

/// Stands for the fragment while the page is drawn. It is for private use, so no text contains it.
const MARK: &str = "\u{e000}";

/// The page without the fragment.
pub struct CachedPage {
    before: String,
    after: String,
    gzip: Frame,
    /// The views before today, if the history is known.
    before_today: Option<i64>,
    templates: Environment<'static>,
}

impl CachedPage {
    fn draw(
        templates: Environment<'static>,
        history: Option<&History>,
        database: &Server,
        replica: &str,
    ) -> Result<Self, Error> {
        let chart = history.map(|history| chart::render(&templates, history));
        let chart = chart.transpose()?.unwrap_or_else(|| "".into());
        let html = templates.get_template("home")?.render(context! {
            count => Value::from_safe_string(MARK.into()),
            chart,
            replica,
            database,
        })?;
        let parts: Vec<_> = html.split(MARK).collect();
        let [before, after] = parts[..] else {
            let problem = "home.html.j2 has to print {{ count }} once, without a filter";
            return Err(Error::new(ErrorKind::InvalidOperation, problem));
        };
        let gzip = Frame::new(before, after)
            .map_err(|error| Error::new(ErrorKind::WriteFailure, error.to_string()))?;
        Ok(Self {
            before: before.into(),
            after: after.into(),
            gzip,
            before_today: history.map(|history| history.views - history.today()),
            templates,
        })
    }

    /// The page as the visitor with this count sees it, compressed for those who read that.
    ///
    /// # Errors
    /// The template of the fragment failed.
    pub fn with_count(&self, count: Count, gzip: &ReadsGzip) -> Result<SingleChunk, Error> {
        let number = count.number();
        // `pageviews set` may have moved the views before today since the page was drawn.
        let today = self.before_today.map(|before| (number - before).max(0));
        let template = self.templates.get_template("count")?;
        let is_view = matches!(count, Count::View(_));
        let context = context! { page => "/", number, today, is_view };
        // With room for a fragment of the usual size.
        let mut html = Vec::with_capacity(512);
        if gzip.0 {
            template.render_captured_to(context, &mut html)?;
            return Ok(SingleChunk::Gzip(self.gzip.around(&html, &self.after)));
        }
        html.reserve(self.before.len() + self.after.len());
        html.extend_from_slice(self.before.as_bytes());
        template.render_captured_to(context, &mut html)?;
        html.extend_from_slice(self.after.as_bytes());
        Ok(SingleChunk::Plain(html))
    }
}

/// Tries the templates with a few numbers, with and without a history.
///
/// # Errors
/// A template cannot work.
pub fn check(templates: &Environment<'static>) -> Result<(), Error> {
    let history = chart::sample();
    let database = Server {
        name: "name".into(),
        version: "18.1".into(),
        host: 0,
    };
    for history in [None, Some(&history)] {
        let page = CachedPage::draw(templates.clone(), history, &database, "replica")?;
        for number in [1, 2, 1_234_567] {
            for count in [Count::View(number), Count::Views(number)] {
                page.with_count(count, &ReadsGzip(false))?;
            }
        }
    }
    Ok(())
}

/// A page that is written at once. Rocket would write pieces of 4 KiB, each by another task.
pub enum SingleChunk {
    /// HTML.
    Plain(Vec<u8>),
    /// HTML as gzip.
    Gzip(Vec<u8>),
}

impl<'r> Responder<'r, 'static> for SingleChunk {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let (html, coding) = match self {
            Self::Plain(html) => (html, None),
            Self::Gzip(html) => (html, Some("gzip")),
        };
        // One byte more than there is, so that the end is found in the same read.
        let size = html.len() + 1;
        let mut response = RawHtml(html).respond_to(request)?;
        response.set_max_chunk_size(size);
        response.set_raw_header("Vary", "Accept-Encoding");
        if let Some(coding) = coding {
            response.set_raw_header("Content-Encoding", coding);
        }
        Ok(response)
    }
}

/// A page, and how old it may become. Its chart ends with the day on which it was drawn.
#[derive(Clone)]
struct Drawing {
    page: Arc<CachedPage>,
    fresh_until: Instant,
    stale_until: Instant,
}

/// Draws the page, and keeps the last drawing.
pub struct CachedPages {
    templates: Templates,
    /// The host name, which is the id of the container in a cluster.
    replica: String,
    last: RwLock<Option<Drawing>>,
    drawing: sync::Mutex<()>,
}

impl CachedPages {
    /// Nothing is drawn yet.
    pub fn new(templates: Templates) -> Self {
        let replica = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self {
            templates,
            replica,
            last: RwLock::default(),
            drawing: sync::Mutex::default(),
        }
    }

    /// The page of the last second. One visitor draws it anew when it is older, while the others
    /// get the old one for a moment.
    ///
    /// # Errors
    /// A template failed, or there is no database.
    pub async fn current(
        &self,
        readiness: &Readiness,
        pool: &Pool,
    ) -> Result<Arc<CachedPage>, error::Error> {
        match self.last(|drawing| drawing.fresh_until) {
            Some(page) => Ok(page),
            // Boxed, so that every request's future need not have room for it.
            None => Box::pin(self.redraw(readiness, pool)).await,
        }
    }

    async fn redraw(
        &self,
        readiness: &Readiness,
        pool: &Pool,
    ) -> Result<Arc<CachedPage>, error::Error> {
        let server = readiness.wait().await.map_err(CountError::NotReady)?;
        let _drawing = match self.drawing.try_lock() {
            Ok(guard) => guard,
            Err(_) => {
                if let Some(page) = self.last(|drawing| drawing.stale_until) {
                    return Ok(page);
                }
                let guard = self.drawing.lock().await;
                if let Some(page) = self.last(|drawing| drawing.fresh_until) {
                    return Ok(page);
                }
                guard
            }
        };
        let read =
            async |database: &mut PgConnection| history::read(database, &PageName::home()).await;
        let history = query(pool, HISTORY_TIMEOUT, read).await;
        if let Err(error) = &history {
            // A database that restarts: the old history is better than none.
            if let Some(page) = self.last(|drawing| drawing.stale_until) {
                return Ok(page);
            }
            // The engine has logged an outage.
            if readiness.last_known().is_ok() {
                log::warn!("the page is shown without its history: {error}");
            }
        }
        let page = Arc::new(self.draw(history.as_ref().ok(), &server)?);
        let rest = history.map_or(MAX_AGE, |history| history.rest_of_today);
        let now = Instant::now();
        let drawing = Drawing {
            page: page.clone(),
            fresh_until: now + MAX_AGE.min(rest),
            stale_until: now + MAX_STALE_AGE.min(rest),
        };
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(drawing);
        Ok(page)
    }

    /// Draws the page with its `history`, if that is known.
    ///
    /// # Errors
    /// A template failed.
    pub fn draw(&self, history: Option<&History>, server: &Server) -> Result<CachedPage, Error> {
        CachedPage::draw(self.templates.current(), history, server, &self.replica)
    }

    /// The last page, if it may be shown until a time that is still to come.
    fn last(&self, until: impl Fn(&Drawing) -> Instant) -> Option<Arc<CachedPage>> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        let drawing = last.as_ref()?;
        (Instant::now() < until(drawing)).then(|| drawing.page.clone())
    }
}
