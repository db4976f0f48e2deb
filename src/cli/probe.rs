//! `pageviews health`: one request, for images without curl.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};

/// How long to wait for the answer: longer than `/readyz` may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `url` once and returns the body of an answer with the status 200.
pub fn probe(url: &str) -> Result<String> {
    let answer = minreq::get(url)
        .with_timeout(TIMEOUT.as_secs())
        .send()
        .map_err(|error| anyhow!("{url} does not answer: {error}"))?;
    let body = answer.as_str().unwrap_or_default().trim();
    match answer.status_code {
        200 => Ok(body.into()),
        // The reason too: minreq puts it there when the connection was closed without an answer.
        status => bail!("{url} answers {status} {}: {body}", answer.reason_phrase),
    }
}
