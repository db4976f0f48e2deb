//! Where the real binary takes its settings from, and which of them win.

use std::fs;
use std::process::Command;

use sqlx::Connection;

use crate::common::header;
use crate::support::{self, App, binary, wait};

/// The binary in a folder of its own that holds this `Rocket.toml`.
pub fn with_file(toml: &str) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Rocket.toml"), toml).unwrap();
    let mut command = binary();
    command.current_dir(&folder).env_remove("ROCKET_PORT");
    command.env(
        "ROCKET_TEMPLATE_DIR",
        concat!(env!("CARGO_MANIFEST_DIR"), "/templates"),
    );
    (folder, command)
}

/// Each layer names another loopback address, and the program listens on the last one.
#[test]
fn later_layers_win() {
    let database = wait(support::database());
    let toml = "[default]\nport = 0\naddress = \"127.0.0.2\"\n[prod]\naddress = \"127.0.0.3\"\n";
    let listens_on = |profile: &str, address: Option<&str>| {
        let (_folder, mut command) = with_file(toml);
        command
            .env("ROCKET_PROFILE", profile)
            .env("DATABASE_URL", &database);
        if let Some(address) = address {
            command.env("ROCKET_ADDRESS", address);
        }
        App::start(&mut command)
            .address
            .split(':')
            .next()
            .unwrap()
            .to_string()
    };
    assert_eq!(listens_on("dev", None), "127.0.0.2");
    assert_eq!(listens_on("prod", None), "127.0.0.3");
    assert_eq!(listens_on("prod", Some("127.0.0.4")), "127.0.0.4");
}

#[test]
fn database_url_wins_over_rocket_databases_which_wins_over_the_file() {
    let right = wait(support::database());
    let wrong = "postgres://nobody@127.0.0.1:1/x";
    let file = |url: &str| {
        format!("[default]\nport = 0\n[default.databases.pageviews]\nurl = \"{url}\"\n")
    };
    let variable = |url: &str| format!("{{pageviews={{url=\"{url}\"}}}}");

    let (_folder, mut command) = with_file(&file(&right));
    App::start(&mut command).wait_ready();
    let (_folder, mut command) = with_file(&file(wrong));
    App::start(command.env("ROCKET_DATABASES", variable(&right))).wait_ready();
    let (_folder, mut command) = with_file(&file(wrong));
    App::start(
        command
            .env("ROCKET_DATABASES", variable(wrong))
            .env("DATABASE_URL", &right),
    )
    .wait_ready();
    // Compose passes a variable that is not set as an empty one.
    App::start(
        binary()
            .env("ROCKET_DATABASES", variable(&right))
            .env("DATABASE_URL", ""),
    )
    .wait_ready();
}

#[test]
fn the_host_of_an_ipv6_url_has_no_brackets() {
    let config = support::config("postgres://app@[::1]:5433/x");
    assert_eq!(config.database().unwrap().hosts[0].get_host(), "::1");
}

#[test]
fn a_url_may_have_several_hosts() {
    for (authority, expected) in [
        ("h1,h2,h3", vec![("h1", 5432), ("h2", 5432), ("h3", 5432)]),
        ("app:a%2C%40b@h1:1,h2", vec![("h1", 1), ("h2", 5432)]),
        ("app@[::1]:1,[::2]", vec![("::1", 1), ("::2", 5432)]),
    ] {
        for parameters in ["", "?target_session_attrs=read-write&sslmode=disable"] {
            let config = support::config(&format!("postgresql://{authority}/x{parameters}"));
            let hosts = &config.database().unwrap().hosts;
            let found = hosts.iter().map(|host| (host.get_host(), host.get_port()));
            assert_eq!(found.collect::<Vec<_>>(), expected);
            assert!(hosts.iter().all(|host| host.get_database() == Some("x")));
        }
    }
}

#[test]
fn the_password_from_the_file_is_used_and_may_hold_any_character() {
    const PASSWORD: &str = "p@ss:/?#[]%41 'quoted' \"and\" \\ more";
    let url = wait(support::database());
    let data = wait(async {
        let mut admin = support::connect(&url).await;
        let statement = format!("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD $p${PASSWORD}$p$");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .unwrap();
        sqlx::query_scalar::<_, String>("SELECT current_setting('hba_file')")
            .fetch_one(&mut admin)
            .await
            .unwrap()
    });
    // Only this role needs a password: other tests use the same server without one.
    let rules = fs::read_to_string(&data).unwrap();
    fs::write(&data, format!("local all guarded scram-sha-256\n{rules}")).unwrap();
    let guarded = url.replace("pageviews@", "guarded@");
    wait(async {
        sqlx::query("SELECT pg_reload_conf()")
            .execute(&mut support::connect(&url).await)
            .await
            .unwrap();
        support::eventually_async("the password is asked for", async || {
            sqlx::PgConnection::connect(&guarded).await.is_err()
        })
        .await;
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let app = App::start(
        binary()
            .env("DATABASE_URL", &guarded)
            .env("DATABASE_PASSWORD_FILE", &file),
    );
    app.wait_ready();
    assert_eq!(app.visit(), 1);
}

#[test]
fn prod_sends_no_server_header() {
    let mut command = binary();
    let app = App::start(
        command
            .env("ROCKET_PROFILE", "prod")
            .env("DATABASE_URL", wait(support::database())),
    );
    assert_eq!(header(&app.get("/healthz"), "server"), None);
}

#[test]
fn the_launch_of_no_profile_mentions_a_deprecation() {
    for profile in ["dev", "prod"] {
        let mut command = binary();
        let app = App::start(
            command
                .env("ROCKET_PROFILE", profile)
                .env("DATABASE_URL", wait(support::database())),
        );
        let log = app.log().join("\n");
        assert!(!log.contains("deprecated"), "{log}");
    }
}
