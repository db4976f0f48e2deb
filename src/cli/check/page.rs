//! The page as a visitor gets it, read by the ids of its elements.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use ureq::http::HeaderMap;

use crate::cli::probe::get;

/// What a page says.
pub struct Page {
    /// The number of the view.
    pub number: i64,
    /// Which replica answered.
    pub replica: String,
    /// The name of the database and the version of PostgreSQL.
    pub database: String,
    headers: HeaderMap,
}

impl Page {
    /// Views the page at `url` once.
    pub fn view(url: &str, timeout: Duration) -> Result<Self> {
        let answer = get(&format!("{url}/"), timeout)?;
        let html = answer.body();
        let number =
            number(html).with_context(|| format!("{url} answers a page without a number"))?;
        let text = |id: &str| element(html, id).map_or("?", |(_, text)| text);
        Ok(Self {
            number,
            replica: text("replica").into(),
            database: format!(
                "database {}, PostgreSQL {}",
                text("database"),
                text("database-version")
            ),
            headers: answer.headers().clone(),
        })
    }

    /// Looks for the headers that keep a visit out of caches and the page out of frames.
    pub fn check_headers(&self) -> Result<()> {
        let wanted = [
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("permissions-policy", "camera=()"),
        ];
        let values = |name: &str| -> Vec<_> {
            let found = self.headers.get_all(name).iter();
            found.map(|value| value.to_str().unwrap_or("?")).collect()
        };
        for (name, part) in wanted {
            match values(name)[..] {
                [value] if value.contains(part) => {}
                [] => bail!("{name} is missing"),
                _ => bail!("{name} is not {part}"),
            }
        }
        match values("server")[..] {
            [] => Ok(()),
            _ => bail!("the header Server says what answers"),
        }
    }
}

fn number(html: &str) -> Option<i64> {
    let (tag, _) = element(html, "views")?;
    let (_, value) = tag.split_once(r#"value=""#)?;
    value.split('"').next()?.parse().ok()
}

/// The tag of the element with this id, and the text after the tag.
fn element<'t>(html: &'t str, id: &str) -> Option<(&'t str, &'t str)> {
    let id = format!(r#"id="{id}""#);
    let mut tags = html.split('<').filter_map(|part| part.split_once('>'));
    tags.find(|(tag, _)| tag.contains(&id))
}
