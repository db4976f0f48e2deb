//! The server's own settings cannot break a promise in silence.

use std::time::Duration;

use pageviews::database;
use private_postgres::PrivatePostgres;

use crate::common::eventually;
use crate::support::tls::TlsServer;
use crate::support::{self, App, deployed, wait};

#[rocket::async_test]
async fn a_commit_waits_for_the_disk_and_the_standbys_whatever_the_database_says() {
    let url = support::database().await;
    for (of_database, used) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        let alter = format!(
            "DO $$ BEGIN EXECUTE format(
                'ALTER DATABASE %I SET synchronous_commit = {of_database}', current_database()
            ); END $$"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(alter))
            .execute(&mut support::connect(&url).await)
            .await
            .unwrap();
        let mut plain = support::connect(&url).await;
        assert_eq!(
            support::setting(&mut plain, "synchronous_commit").await,
            of_database
        );
        let config = support::config(&url);
        let connect = database::connect(config.database().unwrap(), Duration::from_secs(5));
        let (mut connection, _) = connect.await.unwrap();
        assert_eq!(
            support::setting(&mut connection, "synchronous_commit").await,
            used
        );
    }
}

#[test]
fn a_server_that_may_lose_commits_is_refused_in_prod() {
    for name in ["fsync", "full_page_writes"] {
        let server = PrivatePostgres::ephemeral().unwrap();
        let url = server.url("pageviews");
        wait(async {
            let mut admin = support::connect(&url).await;
            let alter = format!("ALTER SYSTEM SET {name} = off");
            sqlx::raw_sql(sqlx::AssertSqlSafe(alter))
                .execute(&mut admin)
                .await
                .unwrap();
            let reload = sqlx::raw_sql("SELECT pg_reload_conf()");
            reload.execute(&mut admin).await.unwrap();
        });
        eventually("the setting", || {
            wait(async { support::setting(&mut support::connect(&url).await, name).await == "off" })
        });
        let app = App::start(&mut deployed(&url));
        eventually("the reason", || {
            app.get("/readyz").as_str().unwrap() == "misconfigured\n"
        });
        let told = format!("{name} is off on the server");
        assert!(
            app.log().iter().any(|line| line.contains(&told)),
            "{:#?}",
            app.log()
        );
        assert_eq!(app.get("/").status_code, 503);
        let databases = format!("{{pageviews={{url={url:?},require_durability=false}}}}");
        let allowed = App::start(
            deployed(&url)
                .env_remove("DATABASE_URL")
                .env("ROCKET_DATABASES", databases),
        );
        allowed.wait_ready();
        // On a developer's machine it is allowed.
        App::on(&url).wait_ready();
    }
}

#[test]
fn the_server_gives_up_on_clients_that_vanish_but_not_on_a_slow_export() {
    let server = TlsServer::new();
    server.restart(None, None);
    let config = support::config(&server.url("sslmode=disable"));
    let names = [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "tcp_keepalives_idle",
        "tcp_user_timeout",
    ];
    for (statement_timeout, expected) in [
        (
            Duration::from_millis(2_500),
            ["2500ms", "2s", "10s", "5", "10000"],
        ),
        // The statement of an export has no limit.
        (Duration::ZERO, ["0", "2s", "10s", "5", "0"]),
    ] {
        let settings = wait(async {
            let connect = database::connect(config.database().unwrap(), statement_timeout);
            let (mut connection, _) = connect.await.unwrap();
            let mut settings = Vec::new();
            for name in names {
                settings.push(support::setting(&mut connection, name).await);
            }
            settings
        });
        assert_eq!(settings, expected);
    }
}
