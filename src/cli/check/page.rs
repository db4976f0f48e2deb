//! The page as a visitor gets it, read by the ids of its elements.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// What a page says.
pub struct Page {
    /// The number of the view.
    pub number: i64,
    /// Which replica answered.
    pub replica: String,
    /// The name of the database and the version of PostgreSQL.
    pub database: String,
    headers: Vec<(String, String)>,
}

impl Page {
    /// Views the page at `url` once.
    pub fn view(url: &str, timeout: Duration) -> Result<Self> {
        let answer = minreq::get(format!("{url}/"))
            .with_timeout(timeout.as_secs())
            .send()
            .map_err(|error| anyhow!("{url} does not answer: {error}"))?;
        if answer.status_code != 200 {
            bail!(
                "{url} answers {} {}",
                answer.status_code,
                answer.reason_phrase
            );
        }
        let html = answer.as_str().unwrap_or_default();
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
            headers: answer.headers.clone(),
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
        let values = |name: &str| {
            let found = self
                .headers
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
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
