//! The roles of the database: the app may count and nothing else, the owner is no superuser, and
//! existing clusters get these roles too.

use std::fs;
use std::process::Output;

use crate::common::eventually;
use crate::compose::{Cluster, docker, inspect};

const SHIPPED: &str = include_str!("../../docker-compose.yml");

/// Asks who uses the app's connections.
const USERS: &str = "SELECT DISTINCT usename FROM pg_stat_activity
    WHERE application_name = 'pageviews' AND backend_type = 'client backend'";

const OWNERS: &str = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'";

/// What the app's role must not do.
const FORBIDDEN: [&str; 27] = [
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    "COPY pages FROM PROGRAM 'true'",
    "COPY pages TO PROGRAM 'cat'",
    "COPY pages FROM '/etc/passwd'",
    "COPY pages TO '/tmp/pages'",
    "DELETE FROM pages",
    "TRUNCATE pages",
    "DROP TABLE pages",
    "ALTER TABLE pages ADD extra int",
    "ALTER TABLE pages DISABLE TRIGGER ALL",
    "UPDATE _sqlx_migrations SET success = false",
    "DELETE FROM _sqlx_migrations",
    "CREATE TABLE extra (n int)",
    "CREATE TEMP TABLE extra (n int)",
    "CREATE SCHEMA extra",
    "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION file_fdw",
    "CREATE ROLE extra",
    "CREATE DATABASE extra",
    "ALTER SYSTEM SET archive_command = 'true'",
    "ALTER ROLE pageviews PASSWORD 'extra'",
    "DROP DATABASE postgres",
    "SET ROLE pageviews_owner",
    "SET ROLE pageviews",
];

impl Cluster {
    /// What the superuser reads from the database, one row per line.
    pub fn query(&self, query: &str) -> String {
        let psql = ["exec", "-T", "db", "psql", "-U", "pageviews", "-AtF=", "-c"];
        let rows = self.compose(&[&psql[..], &[query]].concat());
        rows.trim_end().into()
    }

    /// The password in `volume`.
    pub fn password(&self, volume: &str) -> String {
        let mount = format!("{}:/secret:ro", self.full_name(volume));
        let run = [
            "run",
            "--rm",
            "-v",
            &mount,
            "--tmpfs",
            "/var/lib/postgresql",
        ];
        let cat = ["postgres:18", "cat", "/secret/database-password"];
        docker(&[&run[..], &cat].concat())
    }

    /// Executes `statement` as `role` with its password, as everybody in the network `back` can.
    pub fn execute_as(&self, role: &str, password: &str, database: &str, sql: &str) -> Output {
        let password = format!("PGPASSWORD={password}");
        let client = [
            "exec", "-T", "-e", &password, "db", "psql", "-h", "db", "-U", role,
        ];
        let statement = ["-d", database, "-v", "VERBOSITY=sqlstate", "-c", sql];
        self.try_compose(&[&client[..], &statement].concat())
    }
}

#[test]
#[ignore = "needs Docker"]
fn the_app_can_count_and_nothing_else() {
    let cluster = Cluster::up(&[]);
    assert_eq!(cluster.visit(), 1);
    let privileged = cluster.query(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'pageviews%'
            AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls
                OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid))",
    );
    assert_eq!(
        privileged, "pageviews",
        "only the superuser of the container"
    );
    assert_eq!(cluster.query(USERS), "pageviews_app");
    assert_eq!(cluster.query(OWNERS), "pageviews_owner");

    let password = cluster.password("app-secret");
    let execute = |database, sql| cluster.execute_as("pageviews_app", &password, database, sql);
    for statement in FORBIDDEN {
        let output = execute("pageviews", statement);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.trim(), "ERROR:  42501", "{statement}");
    }
    for database in ["postgres", "template1"] {
        let said = String::from_utf8(execute(database, "SELECT 1").stderr).unwrap();
        assert!(said.contains("permission denied for database"), "{said}");
    }

    assert_eq!(cluster.visit(), 2);
    let app = |arguments: &[&str]| cluster.pageviews(arguments);
    assert_eq!(app(&["set", "/", "10"]), "/: 2 -> 10\n");
    assert_eq!(app(&["get", "/"]), "10\n");
    assert_eq!(app(&["export"]), "page,views\n/,10\n");
    assert!(app(&["list"]).contains("10"));
    assert_eq!(cluster.visit(), 11);
}

#[test]
#[ignore = "needs Docker"]
fn each_container_holds_only_the_passwords_that_it_needs() {
    let settings = "COMPOSE_PROFILES=backup\n";
    let cluster = Cluster::with_settings(settings);
    cluster.compose(&["up", "-d"]);
    cluster.wait_healthy();
    let names = ["secret", "owner-secret", "app-secret", "backup-secret"];
    let names = names.map(|name| cluster.full_name(name));
    let mut all = Vec::new();
    for id in cluster.all_containers() {
        let container = inspect(&id);
        let service = &container["Config"]["Labels"]["com.docker.compose.service"];
        let service = service.as_str().unwrap().to_string();
        let mounts = container["Mounts"].as_array().unwrap();
        for mount in mounts {
            let volume = mount["Name"].as_str().unwrap_or_default();
            let written = service == "secret";
            if let Some(role) = names.iter().position(|name| name == volume) {
                assert_eq!(mount["RW"], written, "{service}: {volume}");
                all.push((service.clone(), role));
            }
            if volume == cluster.full_name("socket") {
                assert!(["db", "roles"].contains(&service.as_str()), "{service}");
            }
        }
    }
    all.sort();
    let mut expected = vec![("app", 2), ("backup", 3), ("db", 0), ("migrate", 1)];
    expected.extend(
        ["roles", "secret"]
            .into_iter()
            .flat_map(|all| (0..4).map(move |n| (all, n))),
    );
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, n)| (name.to_string(), *n))
        .collect();
    assert_eq!(all, expected);
    let mut passwords: Vec<_> = ["secret", "owner-secret", "app-secret", "backup-secret"]
        .map(|volume| cluster.password(volume))
        .into();
    passwords.sort();
    passwords.dedup();
    assert_eq!(passwords.len(), 4, "four different ones");
}

#[test]
#[ignore = "needs Docker"]
fn an_existing_cluster_gets_the_roles_while_visitors_come() {
    let cluster = Cluster::with_settings("");
    let file = cluster.folder.join("docker-compose.yml");
    // Caddy's container is the same in both, so it stays.
    let (head, rest) = SHIPPED.split_once("  app:\n").unwrap();
    let (_, tail) = rest.split_once("  # Tests each part").unwrap();
    let before_roles = include_str!("before_roles.yml");
    fs::write(&file, format!("{head}{before_roles}  #{tail}")).unwrap();
    cluster.compose(&["up", "-d"]);
    cluster.wait_healthy();
    let before = cluster.visit();
    assert_eq!(before, 1);
    assert_eq!(cluster.query(USERS), "pageviews");
    let password = cluster.password("secret");
    // As a trigger of a later version would be.
    cluster.query("CREATE FUNCTION note() RETURNS int LANGUAGE sql AS 'SELECT 1'");

    let visits = cluster.visited_by(4, |visits| {
        eventually("visits", || visits.acknowledged() > 20);
        fs::write(&file, SHIPPED).unwrap();
        cluster.compose(&["up", "-d"]);
        cluster.wait_healthy();
        let so_far = visits.acknowledged();
        eventually("more visits", || visits.acknowledged() > so_far + 20);
        // The database starts again, and the only replica is replaced. How long that takes depends
        // on the machine, and so does how many visits are refused meanwhile.
        let is_usual = |refused: &String| {
            [": 502 ", ": 503 ", ": 504 "]
                .iter()
                .any(|status| refused.contains(status))
        };
        let refused = visits.refused();
        assert!(refused.iter().all(is_usual), "{refused:#?}");
    });
    visits.add_up(cluster.visit() - 1 - before, 0..=0);
    assert_eq!(cluster.query(USERS), "pageviews_app");
    assert_eq!(cluster.query(OWNERS), "pageviews_owner");
    let routines = "SELECT DISTINCT proowner::regrole FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace";
    assert_eq!(cluster.query(routines), "pageviews_owner");
    assert_eq!(
        cluster.password("secret"),
        password,
        "the superuser's stays"
    );
    let as_app = cluster.execute_as(
        "pageviews_app",
        &cluster.password("app-secret"),
        "pageviews",
        "DROP TABLE pages",
    );
    assert!(!as_app.status.success());
}
