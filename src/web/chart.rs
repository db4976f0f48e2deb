//! The views of each day as a chart.

use std::time::Duration;

use rocket_dyn_templates::minijinja::{Environment, Error, Value, context};

use crate::counter::history::{DAYS, Day, History};

/// The chart of `history` and its table, as HTML.
///
/// # Errors
/// The template failed.
pub fn render(templates: &Environment<'_>, history: &History) -> Result<Value, Error> {
    let views: Vec<_> = history.days.iter().map(|day| day.views).collect();
    let html = templates.get_template("chart")?.render(context! {
        days => history.days,
        heights => heights(&views),
        most => most(&views),
        total => views.iter().sum::<i64>(),
        time_zone => history.time_zone,
    })?;
    Ok(Value::from_safe_string(html))
}

/// The bars of `views`, in hundredths of the highest one. Only a day without views has no bar.
pub fn heights(views: &[i64]) -> Vec<i64> {
    let most = most(views);
    let height = |&views: &i64| match views {
        0 => 0,
        views => (i128::from(views) * 100 / i128::from(most)).max(1) as i64,
    };
    views.iter().map(height).collect()
}

fn most(views: &[i64]) -> i64 {
    views.iter().copied().max().unwrap_or(0)
}

/// A history to try templates with.
pub fn sample() -> History {
    let day = |day| Day {
        day: format!("2026-01-{day:02}"),
        views: day as i64 - 1,
    };
    History {
        views: 1_000_000,
        days: (1..=DAYS).map(day).collect(),
        time_zone: "Europe/Berlin".into(),
        rest_of_today: Duration::ZERO,
    }
}
