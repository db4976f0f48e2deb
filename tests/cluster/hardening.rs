//! Each line of hardening, checked on the running containers.

use std::fs;
use std::process::Command;

use rocket::serde::json::{Value, json};

use crate::compose::{Cluster, docker, inspect};

#[test]
#[ignore = "needs Docker"]
fn containers_have_no_more_than_they_need() {
    let cluster = Cluster::up(&[("COMPOSE_PROFILES", "backup")]);
    let pages: Vec<_> = (0..3).map(|_| cluster.visit()).collect();
    assert_eq!(pages, [1, 2, 3]);
    let all = cluster.all_containers();
    assert_eq!(all.len(), 7, "of these some run once");
    for id in all {
        let container = inspect(&id);
        let (name, host) = (&container["Name"], &container["HostConfig"]);
        assert_eq!(host["ReadonlyRootfs"], true, "{name}");
        assert_eq!(host["Privileged"], false, "{name}");
        assert_eq!(host["CapDrop"], json!(["ALL"]), "{name}");
        assert_eq!(
            host["SecurityOpt"],
            json!(["no-new-privileges:true"]),
            "{name}"
        );
        assert_eq!(
            host["LogConfig"]["Config"],
            json!({"max-size": "10m", "max-file": "3"}),
            "{name}"
        );
        assert!(host["Memory"].as_u64().unwrap() > 0, "{name}");
        assert!(host["PidsLimit"].as_u64().unwrap() > 0, "{name}");
    }
    let users = [("web", 0), ("app", 65532), ("db", 999), ("backup", 999)];
    for (service, user) in users {
        let capabilities = if service == "web" { 1 << 10 } else { 0 };
        let container = inspect(&cluster.containers(service)[0]);
        let restart = &container["HostConfig"]["RestartPolicy"]["Name"];
        assert_eq!(restart, "unless-stopped", "{service}");

        // The kernel's view of the process, not Docker's configuration.
        let pid = container["State"]["Pid"].as_u64().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_string()
        };
        assert_eq!(field("Uid:"), user.to_string(), "{service}");
        assert_eq!(field("NoNewPrivs:"), "1", "{service}");
        let bounding = u64::from_str_radix(&field("CapBnd:"), 16).unwrap();
        assert_eq!(bounding, capabilities, "{service}: {bounding:x}");
        let seccomp = field("Seccomp:");
        assert_eq!(seccomp, "2", "{service}");
    }
}

#[test]
#[ignore = "needs Docker"]
fn only_caddy_is_published_and_the_database_has_one_neighbour() {
    let cluster = Cluster::up(&[]);
    let bindings = |service: &str| -> Vec<Value> {
        let container = inspect(&cluster.containers(service)[0]);
        let ports = container["NetworkSettings"]["Ports"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        ports
            .into_iter()
            .filter(|(_, bound)| !bound.is_null())
            .map(|(port, _)| port.into())
            .collect()
    };
    assert_eq!(bindings("app"), [] as [Value; 0]);
    assert_eq!(bindings("db"), [] as [Value; 0]);
    assert_eq!(bindings("web"), ["443/tcp", "443/udp", "80/tcp"]);

    let networks = |service: &str| -> Vec<String> {
        let container = inspect(&cluster.containers(service)[0]);
        container["NetworkSettings"]["Networks"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(networks("db"), [cluster.full_name("back")]);
    assert_eq!(
        networks("app"),
        [cluster.full_name("back"), cluster.full_name("front")]
    );

    let address = |service: &str, network: &str| {
        let container = inspect(&cluster.containers(service)[0]);
        let found =
            &container["NetworkSettings"]["Networks"][cluster.full_name(network)]["IPAddress"];
        found.as_str().unwrap().to_string()
    };
    let connects = |network: &str, ip: &str, port: u16| {
        let dial = format!("timeout 3 bash -c '</dev/tcp/{ip}/{port}'");
        let run = [
            "run",
            "--rm",
            "--network",
            network,
            "--entrypoint",
            "sh",
            "postgres:18",
            "-c",
            &dial,
        ];
        Command::new("docker")
            .args(run)
            .output()
            .unwrap()
            .status
            .success()
    };
    // When Docker makes a network, as for other tests, it takes the rule away for a moment that
    // separates all networks. So one refusal of three is a refusal.
    let reaches = |from: &str, ip: &str, port: u16| (0..3).all(|_| connects(from, ip, port));
    let (back, front, outside) = (
        cluster.full_name("back"),
        cluster.full_name("front"),
        cluster.full_name("outside"),
    );
    let (db, app, web) = (
        address("db", "back"),
        address("app", "front"),
        address("web", "front"),
    );
    // Both ports answer in the right network, so a refusal below is a refusal.
    assert!(connects(&back, &db, 5432));
    assert!(connects(&front, &app, 8000));
    // `bridge` is Docker's default network.
    for network in [&front, &outside, "bridge"] {
        assert!(!reaches(network, &db, 5432), "the database from {network}");
    }
    for network in [&outside, "bridge"] {
        assert!(!reaches(network, &app, 8000), "the app from {network}");
    }
    assert!(
        !reaches(&front, &web, 2019),
        "Caddy's admin API from another container"
    );
}

#[test]
#[ignore = "needs Docker"]
fn the_passwords_are_in_their_files_and_nowhere_else() {
    let cluster = Cluster::up(&[]);
    assert_eq!(cluster.visit(), 1);
    // The server's log then holds each statement but those with the passwords.
    cluster.query("ALTER SYSTEM SET log_statement = 'all'");
    cluster.query("SELECT pg_reload_conf()");
    cluster.compose(&["up", "-d"]);
    let logs = cluster.compose(&["logs", "--no-color"]);
    assert!(
        logs.contains("statement: BEGIN"),
        "the roles were set up again"
    );
    for volume in ["secret", "owner-secret", "app-secret", "backup-secret"] {
        let password = &cluster.password(volume);
        assert_eq!(password.len(), 64, "32 random bytes");
        for id in cluster.all_containers() {
            assert!(
                !docker(&["inspect", &id]).contains(password),
                "docker inspect {id}"
            );
        }
        assert!(!logs.contains(password), "{volume} in the logs");
        for image in ["pageviews", "pageviews-postgres"] {
            let history = docker(&["history", "--no-trunc", image]);
            assert!(!history.contains(password), "{volume} in {image}");
        }
    }
    // Without the password nobody gets in over the network.
    let back = cluster.full_name("back");
    let run = [
        "run",
        "--rm",
        "--network",
        &back,
        "postgres:18",
        "psql",
        "-wq",
        "-h",
        "db",
        "-U",
        "pageviews",
    ];
    let anonymous = Command::new("docker").args(run).output().unwrap();
    let said = String::from_utf8_lossy(&anonymous.stderr);
    assert!(
        !anonymous.status.success() && said.contains("no password supplied"),
        "{said}"
    );
    // The web server does not have the password.
    assert!(
        !cluster
            .try_compose(&["exec", "-T", "web", "ls", "/run/secret"])
            .status
            .success()
    );
}

#[test]
#[ignore = "needs Docker"]
fn the_image_is_small_and_has_no_shell() {
    let cluster = Cluster::up(&[]);
    let size = inspect("pageviews")["Size"].as_u64().unwrap();
    assert!(size < 40_000_000, "{size} bytes");
    assert!(
        !cluster
            .try_compose(&["exec", "-T", "app", "sh", "-c", "true"])
            .status
            .success()
    );
    let own = cluster.try_compose(&["exec", "-T", "app", "/app/pageviews", "health"]);
    assert!(own.status.success());
    // So `up --build` applies a changed one.
    let caddyfile = cluster.compose(&["exec", "-T", "web", "cat", "/etc/caddy/Caddyfile"]);
    assert_eq!(caddyfile, include_str!("../../Caddyfile"));
}
