//! TLS to the database: how far the server is verified, and with which certificates.
//!
//! The files are read here once, so that a wrong one stops the program at its start. sqlx reads
//! them again for each connection, so a renewed certificate needs no restart.

use std::net::IpAddr;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::error::Error;
use super::parameters::{Parameter, Parameters};

/// `options`, which sqlx has read from the same `parameters`, with the mode that PostgreSQL's own
/// programs would use, and whether the connection is [exposed](super::Database::is_exposed).
///
/// # Errors
/// The parameters contradict each other, or a file cannot be used.
pub fn apply(
    options: PgConnectOptions,
    parameters: &Parameters<'_>,
) -> Result<(PgConnectOptions, bool), Error> {
    let host = options.get_host();
    let mode = match options.get_socket().is_some() || host.starts_with('/') {
        // sqlx would ask for TLS here too, which PostgreSQL does not offer on a socket.
        true => PgSslMode::Disable,
        false => mode(parameters)?,
    };
    let is_exposed = match mode {
        PgSslMode::Disable | PgSslMode::VerifyFull => false,
        // Not even `verify-ca` is enough: sqlx trusts the public authorities too, which sign a
        // certificate for some host for everybody.
        _ => !is_local(host),
    };
    let options = options.ssl_mode(mode);
    if matches!(mode, PgSslMode::Disable) {
        return Ok((options, is_exposed));
    }
    // sqlx trusts the authorities of the system, and those of `sslrootcert` in addition.
    let options = match parameters.get("sslrootcert") {
        Some(roots) if roots.value != "system" => {
            check_roots(parameters, roots)?;
            options
        }
        _ => options.ssl_root_cert_from_pem(Vec::new()),
    };
    match (parameters.get("sslcert"), parameters.get("sslkey")) {
        (None, None) => {}
        (Some(certificate), Some(key)) => check_client(parameters, certificate, key)?,
        (Some(alone), None) | (None, Some(alone)) => {
            let problem = format!("{} is set alone", alone.name);
            return Err(parameters.wrong(alone, &problem, "set both sslcert and sslkey"));
        }
    }
    Ok((options, is_exposed))
}

/// What `sslmode` means in PostgreSQL's own programs, together with `sslrootcert`.
fn mode(parameters: &Parameters<'_>) -> Result<PgSslMode, Error> {
    let given = parameters.get("sslmode");
    // A value of another form was refused before.
    let mode = given.and_then(|given| given.value.parse().ok());
    let Some(roots) = parameters.get("sslrootcert") else {
        return Ok(mode.unwrap_or_default());
    };
    match mode {
        None | Some(PgSslMode::VerifyFull) if roots.value == "system" => Ok(PgSslMode::VerifyFull),
        Some(_) if roots.value == "system" => Err(parameters.wrong(
            given.unwrap_or(roots),
            "sslrootcert=system and an sslmode that does not verify the host",
            "set sslmode=verify-full",
        )),
        // sqlx would verify nothing: see https://github.com/launchbadge/sqlx/issues/879.
        Some(PgSslMode::Require) => Ok(PgSslMode::VerifyCa),
        mode => Ok(mode.unwrap_or_default()),
    }
}

fn is_local(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn check_roots(parameters: &Parameters<'_>, roots: &Parameter) -> Result<(), Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(parameters, roots)? {
        store
            .add(certificate)
            .map_err(|_| unusable(parameters, roots, "holds a damaged certificate"))?;
    }
    Ok(())
}

fn check_client(
    parameters: &Parameters<'_>,
    certificate: &Parameter,
    key: &Parameter,
) -> Result<(), Error> {
    let chain = certificates(parameters, certificate)?;
    let secret = PrivateKeyDer::from_pem_file(&key.value)
        .map_err(|error| unreadable(parameters, key, &error))?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider())
        .map_err(|_| unusable(parameters, key, "does not fit the certificate of sslcert"))?;
    Ok(())
}

/// All certificates in the file that `parameter` names: at least one.
fn certificates(
    parameters: &Parameters<'_>,
    parameter: &Parameter,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(&parameter.value)
        .and_then(Iterator::collect)
        .and_then(|found: Vec<_>| match found.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(found),
        })
        .map_err(|error| unreadable(parameters, parameter, &error))
}

/// The error for a file that holds nothing of what it should. Its lines may be secret.
fn unreadable(parameters: &Parameters<'_>, parameter: &Parameter, error: &pem::Error) -> Error {
    match error {
        pem::Error::Io(cause) => {
            unusable(parameters, parameter, &format!("cannot be read: {cause}"))
        }
        _ if parameter.name == "sslkey" => unusable(
            parameters,
            parameter,
            "holds no private key, or one with a passphrase",
        ),
        _ => unusable(parameters, parameter, "holds no certificate"),
    }
}

fn unusable(parameters: &Parameters<'_>, parameter: &Parameter, problem: &str) -> Error {
    let problem = format!("the file of {} {problem}", parameter.name);
    parameters.wrong(
        parameter,
        &problem,
        "name a readable file in the PEM format",
    )
}
