//! A role owns the tables and migrates them. Another role counts and may do nothing else.

use std::io::Write;

use sqlx::{AssertSqlSafe, PgConnection, raw_sql};

use crate::common::eventually;
use crate::support::{self, App, binary, output, wait};

/// What the role that counts must not do, after the program has migrated.
const FORBIDDEN: [&str; 9] = [
    "DELETE FROM pages",
    "TRUNCATE days",
    "DROP TABLE writers",
    "ALTER TABLE pages ADD extra int",
    "CREATE INDEX ON pages (views)",
    "CREATE TABLE extra (n int)",
    "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "UPDATE _sqlx_migrations SET checksum = ''",
    "INSERT INTO _sqlx_migrations SELECT * FROM _sqlx_migrations",
];

/// A new database that belongs to the role `owner`, and in which the role `app` may do nothing yet.
/// Returns its URL for each of the two.
fn database(owner: &str, app: &str) -> [String; 2] {
    let url = wait(support::database());
    let roles = format!(
        "CREATE ROLE {owner} LOGIN; CREATE ROLE {app} LOGIN;
         GRANT CREATE ON SCHEMA public TO {owner}"
    );
    wait(async { execute(&mut support::connect(&url).await, &roles).await }).unwrap();
    [owner, app].map(|role| url.replace("pageviews@", &format!("{role}@")))
}

async fn execute(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    let statements = raw_sql(AssertSqlSafe(statements.to_string()));
    statements.execute(connection).await.map(drop)
}

/// Runs a command that must succeed on the database at `url`. Returns its output.
fn succeed(url: &str, arguments: &[&str]) -> String {
    let output = output(binary().args(arguments).env("DATABASE_URL", url));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_role_that_may_not_migrate_waits_until_the_owner_has_and_then_counts() {
    let [owner, app] = database("migrating_owner", "waiting_app");
    let cure = "run `pageviews migrate` as the owner of the tables";
    let running = App::on(&app);
    eventually("the migrations are missing", || {
        running.get("/readyz").as_str().unwrap() == "migrating\n"
    });
    let log = || running.log().join("\n");
    eventually("the log names the cure", || log().contains(cure));
    let get = output(binary().args(["get", "/"]).env("DATABASE_URL", &app));
    let said = String::from_utf8(get.stderr).unwrap();
    assert!(!get.status.success() && said.contains(cure), "{said}");

    let migrate = ["migrate", "--grant-to", "waiting_app"];
    let applied = succeed(&owner, &migrate);
    assert!(
        applied.starts_with("applied migration 1 pages\n"),
        "{applied}"
    );
    running.wait_ready();
    assert_eq!((running.visit(), running.visit()), (1, 2));
    assert_eq!(succeed(&owner, &migrate), "the database is up to date\n");
    assert_eq!(succeed(&app, &["set", "/", "10"]), "/: 2 -> 10\n");
    assert_eq!(succeed(&app, &["export"]), "page,views\n/,10\n");
}

#[test]
fn the_role_that_counts_can_import_and_the_owner_can_delete() {
    let [owner, app] = database("deleting_owner", "importing_app");
    succeed(&owner, &["migrate", "--grant-to", "importing_app"]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"page,day,views\n/,2026-01-31,3\n").unwrap();
    let said = succeed(&app, &["import", file.path().to_str().unwrap()]);
    assert_eq!(said, "imported 3 views of 1 page\n");
    let delete = ["delete", "/", "--repeat-numbers"];
    let refused = output(binary().args(delete).env("DATABASE_URL", &app));
    let said = String::from_utf8(refused.stderr).unwrap();
    let cure = "run the command as the owner of the tables";
    assert!(!refused.status.success() && said.contains(cure), "{said}");
    assert_eq!(succeed(&app, &["get", "/"]), "3\n");
    assert_eq!(succeed(&owner, &delete), "/: 3 -> deleted\n");
}

#[test]
fn the_role_that_counts_may_do_nothing_else() {
    let [owner, app] = database("strict_owner", "strict_app");
    succeed(&owner, &["migrate", "--grant-to", "strict_app"]);
    wait(async {
        let mut owner = support::connect(&owner).await;
        let mut app = support::connect(&app).await;
        for statement in FORBIDDEN {
            let error = execute(&mut app, statement).await.expect_err(statement);
            let code = error.as_database_error().unwrap().code().unwrap();
            assert_eq!(code, "42501", "{statement}: {error}");
        }
        // A trigger of a later migration may write to its table before the migration has ended.
        let later = "CREATE TABLE later (n int)";
        execute(&mut owner, later).await.unwrap();
        let used = "INSERT INTO later VALUES (1); UPDATE later SET n = 2; SELECT n FROM later";
        execute(&mut app, used).await.unwrap();
    });
}
