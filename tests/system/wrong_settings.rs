//! A wrong setting stops the program with one line that names the setting and the fix.

use std::fs;
use std::process::Command;

use crate::configuration::with_file;
use crate::support::{self, binary};

pub const SECRET: &str = "hunter2-never-shown";

/// Runs `command`, which must fail with code 1 and one line on standard error that holds `parts`.
pub fn fails(command: &mut Command, parts: &[&str]) {
    let output = support::output(command);
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
    for never in [SECRET, "panicked", "backtrace", "deprecated"] {
        assert!(
            !stdout.contains(never) && !stderr.contains(never),
            "{never} is in {stdout}{stderr}"
        );
    }
}

#[test]
fn a_wrong_setting_is_one_line_with_key_origin_and_fix() {
    let url = format!("postgres://app:{SECRET}@127.0.0.1:1/x");
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "ROCKET_PROFILE",
            "prod",
            &["databases.pageviews.url", "DATABASE_URL"],
        ),
        ("ROCKET_PROFILE", "prd", &["prd", "dev or prod"]),
        ("ROCKET_PROFILE", "DEV", &["dev or prod"]),
        ("ROCKET_PORT", "abc", &["port", "ROCKET_PORT", "0 to 65535"]),
        ("ROCKET_PORT", "65536", &["port", "ROCKET_PORT"]),
        (
            "ROCKET_ADDRESS",
            "nowhere",
            &["address", "ROCKET_ADDRESS", "127.0.0.1"],
        ),
        (
            "ROCKET_LOG_LEVEL",
            "loud",
            &["log_level", "ROCKET_LOG_LEVEL", "normal"],
        ),
        ("ROCKET_WORKERS", "-1", &["workers", "ROCKET_WORKERS"]),
        (
            "ROCKET_OVERVIEW",
            "yes",
            &["overview", "ROCKET_OVERVIEW", "true or false"],
        ),
        (
            "ROCKET_BOTS",
            "no",
            &["bots", "ROCKET_BOTS", "count or ignore"],
        ),
        ("ROCKET_LIMIT", "0", &["limit", "ROCKET_LIMIT", "above 0"]),
        ("ROCKET_LIMIT", "a", &["limit", "ROCKET_LIMIT", "above 0"]),
        (
            "ROCKET_PAGES",
            "readme",
            &["pages", "ROCKET_PAGES", "[\"readme\", \"blog/*\"]"],
        ),
        (
            "ROCKET_PAGES",
            "[\"a b\"]",
            &["pages", "\"a b\"", "ROCKET_PAGES", "200 characters"],
        ),
        (
            "ROCKET_PAGES",
            r#"["blog*"]"#,
            &["pages", "\"blog*\"", "ROCKET_PAGES", "blog/*", "%2A"],
        ),
        // Whatever type stands there.
        ("ROCKET_PAGES", "5", &["pages", "ROCKET_PAGES"]),
        ("ROCKET_PAGES", "true", &["pages", "ROCKET_PAGES"]),
        ("ROCKET_PAGES", "{a=1}", &["pages", "ROCKET_PAGES"]),
        ("ROCKET_PAGES", "{}", &["pages", "ROCKET_PAGES"]),
        ("ROCKET_PAGES", r#"["a", 1]"#, &["pages", "ROCKET_PAGES"]),
        ("ROCKET_PAGES", "[[]]", &["pages", "ROCKET_PAGES"]),
        (
            "ROCKET_VIEWS",
            "6",
            &["views", "ROCKET_VIEWS", "deadline=6"],
        ),
        (
            "ROCKET_VIEWS",
            "{deadline=0}",
            &["views.deadline", "ROCKET_VIEWS"],
        ),
        (
            "ROCKET_VIEWS",
            "{patience=9}",
            &["views", "patience", "ROCKET_VIEWS"],
        ),
        (
            "ROCKET_LIVE",
            "1000",
            &[
                "live",
                "ROCKET_LIVE",
                "streams=1000",
                "streams_per_client=100",
            ],
        ),
        (
            "ROCKET_LIVE",
            "{streams=0}",
            &["live.streams", "ROCKET_LIVE"],
        ),
        (
            "ROCKET_LIVE",
            "{streams_per_client=65536}",
            &["live.streams_per_client", "ROCKET_LIVE"],
        ),
        (
            "ROCKET_LIVE",
            "{followers=9}",
            &["live", "followers", "ROCKET_LIVE"],
        ),
        (
            "ROCKET_WORKERS",
            "0",
            &["workers", "ROCKET_WORKERS", "above 0"],
        ),
        (
            "ROCKET_MAX_BLOCKING",
            "0",
            &["max_blocking", "ROCKET_MAX_BLOCKING", "above 0"],
        ),
        (
            "ROCKET_CONFIG",
            "/nonexistent.toml",
            &["/nonexistent.toml", "ROCKET_CONFIG"],
        ),
        (
            "DATABASE_URL",
            "mysql://app@db/x",
            &["databases.pageviews.url", "DATABASE_URL", "postgres://"],
        ),
        (
            "DATABASE_URL",
            "postgres://app@db:port/x",
            &["databases.pageviews.url", "DATABASE_URL"],
        ),
        (
            "ROCKET_DATABASES",
            "{pageviews={url=7}}",
            &["databases.pageviews.url", "ROCKET_DATABASES", "string"],
        ),
        (
            "ROCKET_DATABASES",
            "{pageviews={url=\"postgres://x\"",
            &["databases", "ROCKET_DATABASES", "table"],
        ),
        (
            "ROCKET_DATABASES",
            &format!("{{pageviews=\"{url}\"}}"),
            &["databases.pageviews", "ROCKET_DATABASES"],
        ),
        (
            "ROCKET_DATABASES",
            &format!("{{pageviews={{url=[\"{url}\"]}}}}"),
            &["databases.pageviews.url"],
        ),
        (
            "ROCKET_DATABASES",
            &format!("{{pageviews={{url=\"{url}\",max_connections=\"{SECRET}\"}}}}"),
            &["databases.pageviews.max_connections", "ROCKET_DATABASES"],
        ),
    ];
    for (variable, value, parts) in cases {
        fails(binary().env(variable, value), parts);
    }
}

#[test]
fn an_unusable_password_file_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    fs::write(&empty, "\n").unwrap();
    for file in [missing, empty, folder.path().into()] {
        fails(
            binary()
                .env("DATABASE_URL", "postgres://app@db/x")
                .env("DATABASE_PASSWORD_FILE", &file),
            &[
                "databases.pageviews.password_file",
                "DATABASE_PASSWORD_FILE",
                &file.display().to_string(),
            ],
        );
    }
}

#[test]
fn an_unusable_configuration_file_is_one_line() {
    let cases: &[(&str, &[&str])] = &[
        (
            &format!("[default.databases.pageviews]\nurl = \"postgres://app:{SECRET}@db/x"),
            &["Rocket.toml", "line 2"],
        ),
        ("[default]\nport = \"x\"\n", &["port", "Rocket.toml"]),
        (
            "[production]\nport = 1\n",
            &["production", "[default], [dev] or [prod]"],
        ),
        ("port = 1\n", &["port", "[default], [dev] or [prod]"]),
    ];
    for (toml, parts) in cases {
        let (_folder, mut command) = with_file(toml);
        fails(&mut command, parts);
    }
}
