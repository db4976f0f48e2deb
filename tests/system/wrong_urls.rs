//! A wrong parameter in the URL of the database stops the program with one line that names the
//! parameter and not its value.

use std::fs;

use crate::support::binary;
use crate::support::tls::Authority;
use crate::wrong_settings::{SECRET, fails};

/// Many values of parameters may be secret, so no line holds any.
#[test]
fn a_wrong_parameter_of_the_url_is_one_line_with_its_name() {
    let cases = [
        ("sslpassword", "\"sslpassword\""),
        ("options[a", "unknown parameter"),
        ("sslmode", "sslmode"),
        ("ssl-mode", "sslmode"),
        ("port", "port"),
        ("hostaddr", "hostaddr"),
        ("statement-cache-capacity", "statement-cache-capacity"),
        ("sslrootcert", "sslrootcert"),
    ];
    for (key, named) in cases {
        let url = format!("postgres://app@127.0.0.1:1/x?{key}={SECRET}");
        fails(
            binary().env("DATABASE_URL", url),
            &["databases.pageviews.url", "DATABASE_URL", named],
        );
    }
    for (variable, value, named) in [
        ("PGSSLMODE", SECRET, "sslmode"),
        ("PGPORT", SECRET, "port"),
        ("PGSSLROOTCERT", SECRET, "sslrootcert"),
        ("PGSSLCERT", SECRET, "sslcert"),
        ("PGSSLCERT", "", "sslcert"),
        ("PGSSLKEY", "", "sslkey"),
    ] {
        let mut command = binary();
        command
            .env("DATABASE_URL", "postgres://app@127.0.0.1:1/x")
            .env(variable, value);
        fails(&mut command, &["databases.pageviews.url", variable, named]);
    }
    let weak = "postgres://app@127.0.0.1:1/x?sslmode=require&sslrootcert=system";
    fails(
        binary().env("DATABASE_URL", weak),
        &["sslrootcert=system", "sslmode=verify-full"],
    );
}

#[test]
fn several_hosts_are_named_in_one_place() {
    for (hosts, parameters, named) in [
        ("h1,,h2", "", "empty host"),
        ("h1:1,", "", "empty host"),
        ("h1,h2:x", "", "invalid port number"),
        ("h1", "host=h1,h2", "in the parameter host"),
        ("h1", "host=/h1,/h2", "in the parameter host"),
        ("h1,h2", "host=h3", "the parameter host"),
        ("h1,h2", "hostaddr=127.0.0.1", "the parameter hostaddr"),
        ("h1,h2", "port=1", "the parameter port"),
        ("h1,h2", "target_session_attrs=standby", "read-write"),
        ("h1,h2", "target_session_attrs=read-only", "read-write"),
    ] {
        let url = format!("postgres://app:{SECRET}@{hosts}/x?{parameters}");
        fails(
            binary().env("DATABASE_URL", url),
            &["databases.pageviews.url", "DATABASE_URL", named],
        );
    }
    fails(
        binary()
            .env("DATABASE_URL", "postgres:///x")
            .env("PGHOST", "h1,h2"),
        &["several hosts in PGHOST"],
    );
    let without_user = "postgres://h1,/x";
    fails(
        binary().env("DATABASE_URL", without_user),
        &["DATABASE_URL", "empty host"],
    );
}

/// The parser of URLs takes such a password for a host, a port and the name of a database.
#[test]
fn a_password_with_a_slash_is_not_taken_for_a_host() {
    for password in ["12,34/56", "12/34", "12,ab/34,5"] {
        let url = format!("postgres://app:{password}@{SECRET}/x");
        fails(
            binary().env("DATABASE_URL", url),
            &["databases.pageviews.url", "DATABASE_URL", "%2F"],
        );
    }
}

/// The parser of URLs takes such a password for a port and parameters.
#[test]
fn a_password_with_a_question_mark_is_not_taken_for_the_name_of_a_parameter() {
    for rest in ["", "&x=y", "=z", "#z"] {
        let url = format!("postgres://app:1?{SECRET}{rest}@127.0.0.1:1/x");
        fails(
            binary().env("DATABASE_URL", url),
            &["databases.pageviews.url", "DATABASE_URL", "%3F"],
        );
    }
}

#[test]
fn an_unusable_certificate_or_key_is_one_line() {
    let pair = Authority::new("ours").issue("pageviews");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("a", &pair.certificate), file("b", &pair.key));
    let other_key = file("c", &Authority::new("ours").issue("pageviews").key);
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (damaged, text) = (file("d", damaged), file("e", SECRET));
    let encrypted = file("f", &pair.key.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    let missing = folder.path().join("missing").display().to_string();
    for (parameters, problem) in [
        (
            format!("sslrootcert={missing}"),
            "sslrootcert cannot be read",
        ),
        (format!("sslrootcert={text}"), "sslrootcert holds no"),
        (format!("sslrootcert={key}"), "sslrootcert holds no"),
        (
            format!("sslrootcert={damaged}"),
            "sslrootcert holds a damaged",
        ),
        (format!("sslcert={certificate}"), "sslcert is set alone"),
        (format!("sslkey={key}"), "sslkey is set alone"),
        (
            format!("sslcert={missing}&sslkey={key}"),
            "sslcert cannot be read",
        ),
        (format!("sslcert={text}&sslkey={key}"), "sslcert holds no"),
        (
            format!("sslcert={certificate}&sslkey={missing}"),
            "sslkey cannot be read",
        ),
        (
            format!("sslcert={certificate}&sslkey={text}"),
            "sslkey holds no",
        ),
        (
            format!("sslcert={certificate}&sslkey={encrypted}"),
            "passphrase",
        ),
        (
            format!("sslcert={certificate}&sslkey={other_key}"),
            "sslkey does not fit",
        ),
    ] {
        let url = format!("postgres://app@127.0.0.1:1/x?{parameters}");
        fails(
            binary().env("DATABASE_URL", url),
            &["databases.pageviews.url", "DATABASE_URL", problem],
        );
    }
}
