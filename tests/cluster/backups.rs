//! Backups, passwords and an upgrade of PostgreSQL, with the commands of docs/operating.md.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{eventually, or_skip};
use crate::compose::{Cluster, inspect};
use crate::documents::commands;

const SHIPPED: &str = include_str!("../../docker-compose.yml");

/// A visitor's last number is 3, and the backup knows of 2.
fn restore_elsewhere(cluster: &Cluster) {
    let [stop, export, restore, swap, one, all, start, clean] = commands("### Restore");
    cluster.run_as_written(&stop);
    cluster.run_as_written(&export);
    let last = fs::read_to_string(cluster.folder.join("before.csv")).unwrap();
    assert_eq!(
        last, "page,views\n/,3\n",
        "the last number that a visitor saw"
    );
    // The new machine.
    cluster.compose(&["down", "--volumes"]);
    cluster.compose(&["up", "-d"]);
    cluster.wait_healthy();
    assert_eq!(cluster.visit(), 1);
    cluster.run_as_written(&stop);
    cluster.run_as_written(&restore);
    cluster.run_as_written(&swap);
    assert_eq!(cluster.run_as_written(&all), "/: 2 -> 3\n");
    assert_eq!(cluster.run_as_written(&one), "/: 3 -> 12852\n");
    cluster.run_as_written(&start);
    cluster.wait_healthy();
    assert_eq!(cluster.visit(), 12853);
    cluster.run_as_written(&clean);
    let databases = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1";
    assert_eq!(cluster.query(databases), "pageviews\npostgres");
}

#[test]
#[ignore = "needs Docker"]
fn a_backup_is_restored_into_a_new_cluster_and_no_number_is_shown_again() {
    let [dump] = commands("### A backup now");
    let cluster = Cluster::up(&[]);
    assert_eq!((cluster.visit(), cluster.visit()), (1, 2));
    cluster.run_as_written(&dump);
    assert_eq!(cluster.visit(), 3, "it counts on meanwhile");
    restore_elsewhere(&cluster);
}

#[test]
#[ignore = "needs Docker"]
fn a_backup_is_made_each_day_restored_on_trial_and_deleted_when_old() {
    let [log, copy, list] = commands("### A backup each day");
    let cluster = Cluster::with_settings("COMPOSE_PROFILES=backup\nBACKUP_DAYS=2\n");
    cluster.compose(&["up", "-d"]);
    cluster.wait_healthy();
    assert_eq!((cluster.visit(), cluster.visit()), (1, 2));
    let said = |text: &str| cluster.run_as_written(&log).matches(text).count();
    let health = || {
        let container = inspect(&cluster.containers("backup")[0]);
        container["State"]["Health"]["Status"]
            .as_str()
            .unwrap()
            .to_string()
    };
    eventually("a backup", || said("INFO: pageviews-") == 1);
    eventually("healthy", || health() == "healthy");

    let inside = |script| cluster.compose(&["exec", "-T", "backup", "bash", "-euc", script]);
    inside("for days in 1 3; do touch -d \"$days days ago\" /backups/pageviews-$days.dump; done");
    let begun = Instant::now();
    cluster.compose(&["stop", "backup"]);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    cluster.compose(&["up", "-d", "backup"]);
    eventually("a second backup", || said("with 2 views") == 1);
    let files = cluster.run_as_written(&list);
    assert!(
        files.contains("pageviews-1.dump"),
        "younger than two days: {files}"
    );
    assert!(
        !files.contains("pageviews-3.dump"),
        "older than two days: {files}"
    );
    assert!(
        !files.contains("scratch") && !files.contains("unfinished"),
        "{files}"
    );

    eventually("healthy again", || health() == "healthy");
    // What only the healthcheck sees: no backup of the last 25 hours.
    inside("touch -d '26 hours ago' /backups/*.dump");
    eventually("unhealthy", || health() == "unhealthy");

    cluster.run_as_written(&copy);
    assert_eq!(cluster.visit(), 3);
    restore_elsewhere(&cluster);
}

/// A backup that breaks in one of these ways gets no name.
#[test]
#[ignore = "needs Docker"]
fn a_backup_that_cannot_be_restored_or_lacks_views_is_an_error() {
    let cluster = Cluster::up(&[]);
    assert_eq!(cluster.visit(), 1);
    for damage in [
        // pg_restore reads the list of contents, but not all of the data.
        "command pg_dump \"$@\" && truncate -s -100 unfinished",
        "command pg_dump \"$@\" --exclude-table-data=pages",
        "false",
    ] {
        let script = format!(
            "pg_dump() {{ {damage}; }}; export -f pg_dump
             exec 3< <(backup 2>&1)
             sed '/INFO: \\|no backup was made/q' <&3
             ls /backups"
        );
        let run = ["run", "--rm", "-T", "backup", "bash", "-euc", &script];
        let said = cluster.compose(&run);
        assert!(
            said.contains("ERROR: no backup was made"),
            "{damage}: {said}"
        );
        assert!(!said.contains(".dump\n"), "{damage}: {said}");
    }
}

#[test]
#[ignore = "needs Docker"]
fn each_password_can_be_replaced_while_the_cluster_runs() {
    let roles = [
        "pageviews",
        "pageviews_owner",
        "pageviews_app",
        "pageviews_backup",
    ];
    let volumes = ["secret", "owner-secret", "app-secret", "backup-secret"];
    let [app, others] = commands("## Change a password");
    let cluster = Cluster::up(&[]);
    assert_eq!(cluster.visit(), 1);
    let passwords = || volumes.map(|volume| cluster.password(volume));
    let works = |role: &str, password: &str| {
        let output = cluster.execute_as(role, password, "pageviews", "SELECT 1");
        output.status.success()
    };
    let first = passwords();
    cluster.run_as_written(&app);
    cluster.wait_healthy();
    let second = passwords();
    cluster.run_as_written(&others);
    assert_eq!(cluster.visit(), 2);
    let third = passwords();
    for (n, role) in roles.into_iter().enumerate() {
        let changed = [first[n] != second[n], second[n] != third[n]];
        assert_eq!(
            changed,
            [role == "pageviews_app", role != "pageviews_app"],
            "{role}"
        );
        assert!(!works(role, &first[n]), "the old password of {role}");
        assert!(works(role, &third[n]), "the new password of {role}");
    }
    // New connections with the new password.
    cluster.compose(&["restart", "app"]);
    cluster.wait_healthy();
    assert_eq!(cluster.visit(), 3);
}

#[test]
#[ignore = "needs Docker"]
fn postgresql_is_upgraded_by_a_major_version_and_no_number_is_shown_again() {
    let image = Command::new("docker")
        .args(["image", "inspect", "postgres:17"])
        .output();
    let missing = "there is no image; .ci/stand-in-images.sh postgres:17";
    let image = image
        .unwrap()
        .status
        .success()
        .then_some(())
        .ok_or(missing.into());
    if or_skip("an upgrade from PostgreSQL 17", image).is_none() {
        return;
    }
    let [dump, create, restore, start] = commands("## A new major version of PostgreSQL");
    let cluster = Cluster::with_settings("");
    let file = cluster.folder.join("docker-compose.yml");
    // At the end of the test `down --volumes` removes what the file names.
    let new = SHIPPED.replace("\n  data: {}", "\n  data: {}\n  data-17: {}");
    // Until version 17 the image has its data in this folder.
    let old = new
        .replace(
            "  db:\n    <<: *postgres\n",
            "  db:\n    <<: *postgres\n    image: postgres:17\n",
        )
        .replace(
            "- data:/var/lib/postgresql",
            "- data-17:/var/lib/postgresql/data",
        );
    fs::write(&file, old).unwrap();
    cluster.compose(&["up", "-d"]);
    cluster.wait_healthy();
    assert!(cluster.query("SHOW server_version").starts_with("17."));
    assert_eq!((cluster.visit(), cluster.visit()), (1, 2));
    let counts = cluster.counts();

    let begun = Instant::now();
    cluster.run_as_written(&dump);
    fs::write(&file, new).unwrap();
    // `build` needs the whole repository, and the images exist.
    cluster.run_as_written(&create.replace("docker-compose build\n", ""));
    cluster.run_as_written(&restore);
    assert_eq!(cluster.counts(), counts);
    cluster.run_as_written(&start);
    cluster.wait_healthy();
    println!("without visitors for {:.0?}", begun.elapsed());
    assert!(cluster.query("SHOW server_version").starts_with("18."));
    assert_eq!(cluster.visit(), 3);
    let (passed, said) = cluster.check();
    assert!(passed, "{said}");
}
