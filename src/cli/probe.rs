//! One request: `pageviews health` for images without curl, and every question of `check`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use ureq::Agent;
use ureq::http::Response;

/// How long to wait for the answer: longer than `/readyz` may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `url` once and returns the body of an answer with the status 200.
pub fn probe(url: &str) -> Result<String> {
    Ok(get(url, TIMEOUT)?.into_body().trim().into())
}

/// Asks `url` once. Any status but 200 is an error.
pub fn get(url: &str, timeout: Duration) -> Result<Response<String>> {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false);
    let answer = Agent::from(config.build()).get(url).call();
    let (head, mut body) = answer
        .with_context(|| format!("{url} does not answer"))?
        .into_parts();
    let body = body
        .read_to_string()
        .with_context(|| format!("{url} does not end its answer"))?;
    if head.status != 200 {
        // `/readyz` says why in one word. A page for people is too long for a line.
        let reason = body.lines().next().filter(|line| !line.starts_with('<'));
        bail!(
            "{url} answers {}: {}",
            head.status,
            reason.unwrap_or("no reason")
        );
    }
    Ok(Response::from_parts(head, body))
}
