//! The last thirty days of the page `/`, drawn at most once a second: views come much faster, and the days but one stand still.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rocket::serde::Serialize;
use rocket::tokio::{sync, time};
use rocket_dyn_templates::{Metadata, context};

use crate::database::Db;
use crate::page::Page;
use crate::views::history::{self, History};

/// How old a drawing may be that is shown.
const FRESH: Duration = Duration::from_secs(1);

/// How long the page may wait for its history before it is shown without.
const PATIENCE: Duration = Duration::from_secs(1);

/// A drawing of the history.
#[derive(Default)]
pub struct Drawing {
    /// Empty if the history was not to be had.
    pub html: String,
    /// The views of the page before today.
    pub before_today: i64,
}

/// Draws, and keeps the last drawing.
#[derive(Default)]
pub struct Chart {
    last: RwLock<Option<(Instant, Arc<Drawing>)>>,
    drawing: sync::Mutex<()>,
}

#[derive(Serialize)]
#[serde(crate = "rocket::serde")]
struct Bar<'d> {
    day: &'d str,
    views: i64,
    /// In hundredths of the highest; nothing only where there was nothing.
    height: i64,
}

impl Chart {
    /// The drawing of the last second. Whoever finds it older draws it anew, while the others make do with it.
    pub async fn drawing(&self, db: &Db, templates: &Metadata<'_>) -> Arc<Drawing> {
        let last = self.last();
        if let Some((_, drawing)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return drawing.clone();
        }
        let _drawing = match (self.drawing.try_lock(), last) {
            (Ok(guard), _) => guard,
            (Err(_), Some((_, drawing))) => return drawing,
            // The first of all: there is nothing to make do with.
            (Err(_), None) => {
                let guard = self.drawing.lock().await;
                if let Some((_, drawing)) = self.last() {
                    return drawing;
                }
                guard
            }
        };
        let page = Page::home();
        let read = time::timeout(PATIENCE, history::history(&***db, &page));
        let drawing = match read.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(history) => draw(&history, templates),
            Err(problem) => {
                log::warn!("the page is shown without its history: {problem}");
                Drawing::default()
            }
        };
        let drawing = Arc::new(drawing);
        *self.last.write().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), drawing.clone()));
        drawing
    }

    fn last(&self) -> Option<(Instant, Arc<Drawing>)> {
        self.last
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn draw(history: &History, templates: &Metadata<'_>) -> Drawing {
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
    Drawing {
        html: templates
            .render("chart", context)
            .map(|(_, html)| html)
            .unwrap_or_default(),
        before_today: history.views - history.today(),
    }
}
