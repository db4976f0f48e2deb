//! The page `/`, drawn at most once a second: its chart, and everything else but the numbers that differ from view to view. Those are
//! put in for each view: to render all of it for each cost a tenth of all views. See "What the rest costs" in ARCHITECTURE.md.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rocket::request::Request;
use rocket::response::content::RawHtml;
use rocket::response::{self, Responder};
use rocket::serde::Serialize;
use rocket::tokio::{sync, time};
use rocket_dyn_templates::{Metadata, context};

use crate::database::{Db, Server};
use crate::page::Page;
use crate::templates::thousands;
use crate::views::history::{self, History};

/// How old a drawing may be that is shown.
const FRESH: Duration = Duration::from_secs(1);

/// How long the page may wait for its history before it is shown without.
const PATIENCE: Duration = Duration::from_secs(1);

/// A part of the page that differs from view to view, and the character that stands for it in a drawing: of those that
/// Unicode leaves to private use, so no template, name or number has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// The number of the view.
    Number = 0xe000,
    /// The same for people.
    Text,
    /// How many characters that has, which says how large it can be.
    Length,
    /// What makes "view" plural.
    Plural,
    /// The views of today.
    Today,
    /// The same for people.
    TodayText,
}

impl Slot {
    const ALL: [Self; 6] = [
        Self::Number,
        Self::Text,
        Self::Length,
        Self::Plural,
        Self::Today,
        Self::TodayText,
    ];

    fn mark(self) -> char {
        char::from_u32(self as u32).unwrap_or_default()
    }
}

/// The page without a view's own numbers.
pub struct Drawing {
    /// What stands before each slot.
    parts: Vec<(String, Slot)>,
    rest: String,
    before_today: i64,
    /// Of the page, in bytes, with room for the largest numbers.
    size: usize,
}

impl Drawing {
    /// Draws the page `/` with its `history`, if that was to be had. `None` if a template fails, which the log then says.
    pub fn of(
        history: Option<&History>,
        database: &Server,
        replica: &str,
        templates: &Metadata<'_>,
    ) -> Option<Self> {
        let chart = match history {
            Some(history) => chart(history, templates)?,
            None => String::new(),
        };
        let [number, text, length, plural, today, today_text] = Slot::ALL.map(Slot::mark);
        let page = Page::home();
        let context = context! {
            page: page.as_str(), number, text, length, plural, today, today_text, chart, replica, database
        };
        let (_, html) = templates.render("home", context)?;
        let mut parts = Vec::new();
        let mut rest = html.as_str();
        while let Some((at, slot)) = rest.char_indices().find_map(|(at, c)| {
            let slot = Slot::ALL.into_iter().find(|slot| slot.mark() == c)?;
            Some((at, slot))
        }) {
            parts.push((rest[..at].into(), slot));
            rest = &rest[at + slot.mark().len_utf8()..];
        }
        Some(Self {
            size: html.len() + Slot::ALL.len() * 2 * 26,
            parts,
            rest: rest.into(),
            before_today: history.map_or(0, |history| history.views - history.today()),
        })
    }

    /// The page as the view `number` sees it.
    pub fn page(&self, number: i64) -> Whole {
        // Who sets a count moves what was before today, of which the drawing may not have heard yet.
        let today = (number - self.before_today).max(0);
        let [text, today_text] = [number, today].map(thousands);
        let [number, today, length] =
            [number, today, text.len() as i64].map(|number| number.to_string());
        let plural = if text == "1" { "" } else { "s" };
        let mut html = String::with_capacity(self.size);
        for (part, slot) in &self.parts {
            html.push_str(part);
            html.push_str(match slot {
                Slot::Number => &number,
                Slot::Text => &text,
                Slot::Length => &length,
                Slot::Plural => plural,
                Slot::Today => &today,
                Slot::TodayText => &today_text,
            });
        }
        html.push_str(&self.rest);
        Whole(html)
    }
}

/// A page that is written at once: Rocket writes 4 KiB at a time, and hands each piece from task to task.
pub struct Whole(String);

impl<'r> Responder<'r, 'static> for Whole {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        // One more than it has: the end is found without room for another piece.
        let size = self.0.len() + 1;
        let mut response = RawHtml(self.0).respond_to(request)?;
        response.set_max_chunk_size(size);
        Ok(response)
    }
}

/// Draws, and keeps the last drawing.
#[derive(Default)]
pub struct Drawings {
    last: RwLock<Option<(Instant, Arc<Drawing>)>>,
    drawing: sync::Mutex<()>,
}

impl Drawings {
    /// The drawing of the last second. Whoever finds it older draws it anew, while the others make do with it.
    /// `None` if a template fails.
    pub async fn newest(
        &self,
        db: &Db,
        database: &Server,
        replica: &str,
        templates: &Metadata<'_>,
    ) -> Option<Arc<Drawing>> {
        let last = self.last();
        if let Some((_, drawing)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Some(drawing.clone());
        }
        let _drawing = match (self.drawing.try_lock(), last) {
            (Ok(guard), _) => guard,
            (Err(_), Some((_, drawing))) => return Some(drawing),
            // The first of all: there is nothing to make do with.
            (Err(_), None) => {
                let guard = self.drawing.lock().await;
                if let Some((_, drawing)) = self.last() {
                    return Some(drawing);
                }
                guard
            }
        };
        let page = Page::home();
        let read = time::timeout(PATIENCE, history::history(&***db, &page));
        let history = read.await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        if let Err(problem) = &history {
            log::warn!("the page is shown without its history: {problem}");
        }
        let history = history.as_ref().ok();
        let drawing = Arc::new(Drawing::of(history, database, replica, templates)?);
        *self.last.write().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), drawing.clone()));
        Some(drawing)
    }

    fn last(&self) -> Option<(Instant, Arc<Drawing>)> {
        self.last
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Bar<'d> {
    day: &'d str,
    views: i64,
    /// In hundredths of the highest; nothing only where there was nothing.
    height: i64,
}

fn chart(history: &History, templates: &Metadata<'_>) -> Option<String> {
    let views = || history.days.iter().map(|day| day.views);
    let most = views().max().unwrap_or(0);
    let bars = history.days.iter().map(|day| Bar {
        day: &day.day,
        views: day.views,
        height: if day.views > 0 {
            (i128::from(day.views) * 100 / i128::from(most)).max(1) as i64
        } else {
            0
        },
    });
    let days: Vec<_> = bars.collect();
    let context = context! { days, most, total: views().sum::<i64>() };
    templates.render("chart", context).map(|(_, html)| html)
}
