//! The hosts in the URL of the database. There may be several, of which one takes writes.

use url::Url;

use super::error::Error;
use super::parameters::{Parameters, TARGET};

/// How several hosts are written.
pub const REMEDY: &str = "write several hosts as postgres://user@host1:5432,host2:5432/name";

/// The parameters that name a single host.
const OF_ONE_HOST: [&str; 3] = ["host", "hostaddr", "port"];

/// One URL for each host of `url`, in which libpq lets several stand:
/// `postgres://user@db1:5432,db2:5432/name`.
pub fn split(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return vec![url.into()];
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let hosts = &authority[authority.rfind('@').map_or(0, |at| at + 1)..];
    let (user, tail) = (
        &rest[..authority.len() - hosts.len()],
        &rest[authority.len()..],
    );
    hosts
        .split(',')
        .map(|host| format!("{scheme}://{user}{host}{tail}"))
        .collect()
}

/// Makes sure that `urls`, which are those of [`split`], and `parameters` name the same hosts.
///
/// # Errors
/// A host has no name, or a parameter names a host too.
pub fn check(urls: &[Url], parameters: &Parameters<'_>) -> Result<(), Error> {
    if urls.len() == 1 {
        return Ok(());
    }
    let mut of_one_host = OF_ONE_HOST.iter().filter_map(|name| parameters.get(name));
    if let Some(parameter) = of_one_host.find(|parameter| parameter.is_in_url()) {
        let problem = format!("several hosts, and the parameter {}", parameter.name);
        return Err(parameters.wrong(parameter, &problem, REMEDY));
    }
    match urls.iter().all(Url::has_host) {
        true => Ok(()),
        false => Err(parameters.error("empty host", REMEDY)),
    }
}

/// `url` without the parameter that sqlx does not know, and would log.
pub fn without_target(url: &Url) -> Url {
    let mut shorter = url.clone();
    if url.query_pairs().any(|(key, _)| key == TARGET) {
        let others = url.query_pairs().filter(|(key, _)| key != TARGET);
        shorter.query_pairs_mut().clear().extend_pairs(others);
    }
    shorter
}
