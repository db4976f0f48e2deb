//! TLS to the database, on a real PostgreSQL with certificates of its own authority.

use std::fs;
use std::path::Path;

use pageviews::database::{self, NotReady};

use crate::SOON;
use crate::common::eventually;
use crate::support::tls::{Authority, TlsServer};
use crate::support::{self, App, binary, deployed, wait};

/// What a connection to `url` is: encrypted or not, or why there is none.
fn connection(url: &str) -> Result<bool, NotReady> {
    let config = support::config(url);
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    wait(async {
        let (mut connection, _) = database::connect(config.database().unwrap(), SOON)
            .await
            .map_err(|error| NotReady::from(&error))?;
        let encrypted = sqlx::query_scalar(encrypted).fetch_one(&mut connection);
        Ok(encrypted.await.unwrap())
    })
}

/// A file in `folder`, as a parameter of a URL.
fn file(parameter: &str, folder: &Path, text: &str) -> String {
    let path = folder.join(parameter);
    fs::write(&path, text).unwrap();
    format!("{parameter}={}", path.display())
}

#[test]
fn each_sslmode_means_what_postgresql_says() {
    const PLAIN: Result<bool, NotReady> = Ok(false);
    const ENCRYPTED: Result<bool, NotReady> = Ok(true);
    const UNTRUSTED: Result<bool, NotReady> = Err(NotReady::Untrusted);
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let folder = tempfile::tempdir().unwrap();
    let roots = &file("sslrootcert", folder.path(), &ours.certificate);
    let server = TlsServer::new();
    // What the server shows, and what becomes of a connection: without a word about TLS, with
    // `require`, and with our authority and `require`, `verify-ca` and `verify-full`.
    let cases = [
        (
            "the right certificate",
            Some(ours.issue("localhost")),
            [ENCRYPTED, ENCRYPTED, ENCRYPTED, ENCRYPTED, ENCRYPTED],
        ),
        (
            "a certificate of another host",
            Some(ours.issue("elsewhere.example")),
            [ENCRYPTED, ENCRYPTED, ENCRYPTED, ENCRYPTED, UNTRUSTED],
        ),
        (
            "an expired certificate",
            Some(ours.issue_until("localhost", 2020)),
            [ENCRYPTED, ENCRYPTED, UNTRUSTED, UNTRUSTED, UNTRUSTED],
        ),
        (
            "a certificate of another authority",
            Some(other.issue("localhost")),
            [ENCRYPTED, ENCRYPTED, UNTRUSTED, UNTRUSTED, UNTRUSTED],
        ),
        (
            "no TLS",
            None,
            [PLAIN, UNTRUSTED, UNTRUSTED, UNTRUSTED, UNTRUSTED],
        ),
    ];
    for (shown, certificate, expected) in cases {
        server.restart(certificate.as_ref(), None);
        let demands = [
            "".into(),
            "sslmode=require".into(),
            format!("sslmode=require&{roots}"),
            format!("sslmode=verify-ca&{roots}"),
            format!("sslmode=verify-full&{roots}"),
        ];
        for (demand, expected) in demands.iter().zip(expected) {
            let found = connection(&server.url(demand));
            assert_eq!(found, expected, "{shown}, {demand}");
        }
        assert_eq!(connection(&server.url("sslmode=disable")), PLAIN, "{shown}");
        // The authorities of this machine do not know ours.
        for demand in ["sslmode=verify-full", "sslrootcert=system"] {
            let found = connection(&server.url(demand));
            assert_eq!(found, UNTRUSTED, "{shown}, {demand}");
        }
    }
}

#[test]
fn readyz_says_untrusted_the_log_says_why_and_the_right_certificate_ends_it() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let folder = tempfile::tempdir().unwrap();
    let roots = file("sslrootcert", folder.path(), &ours.certificate);
    let server = TlsServer::new();
    let url = server.url(&format!("sslmode=verify-full&{roots}"));
    let cases = [
        (Some(ours.issue("elsewhere.example")), "not valid for name"),
        (Some(ours.issue_until("localhost", 2020)), "expired"),
        (Some(other.issue("localhost")), "UnknownIssuer"),
        (None, "server does not support TLS"),
    ];
    for (certificate, cause) in cases {
        server.restart(certificate.as_ref(), None);
        let app = App::start(&mut deployed(&url));
        eventually(cause, || {
            app.get("/readyz").as_str().unwrap() == "untrusted\n"
        });
        let is_told = |line: &String| line.contains("database untrusted") && line.contains(cause);
        eventually(cause, || app.log().iter().any(is_told));
        server.restart(Some(&ours.issue("localhost")), None);
        app.wait_ready();
        assert!(app.visit() > 0);
    }
}

/// `SSL_CERT_FILE` takes the place of the authorities that the system trusts.
#[test]
fn without_sslrootcert_the_authorities_of_the_system_verify() {
    let ours = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("system.pem");
    fs::write(&roots, &ours.certificate).unwrap();
    let server = TlsServer::new();
    server.restart(Some(&ours.issue("localhost")), None);
    let trusting = |parameters: &str| {
        let mut command = binary();
        command
            .env("SSL_CERT_FILE", &roots)
            .env("DATABASE_URL", server.url(parameters));
        command
    };
    App::start(&mut trusting("sslmode=verify-full")).wait_ready();
    App::start(&mut trusting("sslrootcert=system")).wait_ready();
    App::start(trusting("").env("PGSSLMODE", "verify-full")).wait_ready();
    server.restart(Some(&ours.issue("elsewhere.example")), None);
    // The URL wins over the variable.
    App::start(trusting("sslmode=verify-ca").env("PGSSLMODE", "verify-full")).wait_ready();
    for command in [
        &mut trusting("sslrootcert=system"),
        trusting("").env("PGSSLMODE", "verify-full"),
    ] {
        let app = App::start(command);
        eventually("the wrong host", || {
            app.get("/readyz").as_str().unwrap() == "untrusted\n"
        });
    }
}

#[test]
fn a_client_certificate_logs_in() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let folder = tempfile::tempdir().unwrap();
    let roots = file("sslrootcert", folder.path(), &ours.certificate);
    let server = TlsServer::new();
    server.restart(Some(&ours.issue("localhost")), Some(&ours));
    let url = |client: &str| server.url(&format!("sslmode=verify-full&{roots}&{client}"));
    let shows = |authority: &Authority, user: &str| {
        let pair = authority.issue(user);
        let certificate = file("sslcert", folder.path(), &pair.certificate);
        let key = file("sslkey", folder.path(), &pair.key);
        connection(&url(&format!("{certificate}&{key}")))
    };
    assert_eq!(shows(&ours, "pageviews"), Ok(true));
    assert_eq!(shows(&ours, "somebody"), Err(NotReady::Denied));
    assert_eq!(shows(&other, "pageviews"), Err(NotReady::Untrusted));
    assert_eq!(connection(&url("")), Err(NotReady::Denied));
}

#[test]
fn a_unix_socket_needs_no_tls() {
    let url = wait(support::database());
    let demanding = url.replace("sslmode=disable", "sslmode=verify-full");
    assert_ne!(url, demanding);
    assert_eq!(connection(&demanding), Ok(false));
}

#[test]
fn a_remote_database_that_is_not_verified_is_one_warning() {
    let warnings = |url: &str| {
        let app = App::start(&mut deployed(url));
        let is_warning = |line: &&String| line.contains("not verified");
        app.log().iter().filter(is_warning).count()
    };
    for url in [
        "postgres://app@db.invalid/x",
        "postgres://app@192.0.2.1/x?sslmode=prefer",
        "postgres://app@[2001:db8::1]/x?sslmode=require",
        // Whoever has a certificate of a public authority passes.
        "postgres://app@db.invalid/x?sslmode=verify-ca",
        "postgres://app@localhost/x?host=db.invalid",
    ] {
        assert_eq!(warnings(url), 1, "{url}");
    }
    for url in [
        "postgres://app@db.invalid/x?sslmode=verify-full",
        "postgres://app@db.invalid/x?sslrootcert=system",
        // The owner has decided.
        "postgres://app@db.invalid/x?sslmode=disable",
        "postgres://app@localhost:1/x",
        "postgres://app@127.0.0.2:1/x",
        "postgres://app@[::1]:1/x?sslmode=require",
        "postgres://app@db.invalid/x?host=/nonexistent",
    ] {
        assert_eq!(warnings(url), 0, "{url}");
    }
}
