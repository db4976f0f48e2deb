//! A wrong parameter in the URL of the database stops the program with one line that names the
//! parameter and not its value.

use crate::support::binary;
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
    ];
    for (key, named) in cases {
        let url = format!("postgres://app@127.0.0.1:1/x?{key}={SECRET}");
        fails(
            binary().env("DATABASE_URL", url),
            &["databases.pageviews.url", "DATABASE_URL", named],
        );
    }
    for (variable, named) in [("PGSSLMODE", "sslmode"), ("PGPORT", "port")] {
        let mut command = binary();
        command
            .env("DATABASE_URL", "postgres://app@127.0.0.1:1/x")
            .env(variable, SECRET);
        fails(&mut command, &["databases.pageviews.url", variable, named]);
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
