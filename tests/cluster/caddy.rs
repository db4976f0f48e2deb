//! The shipped Caddyfile in the shipped Caddy, with stand-ins for the app. One dies after counting,
//! since the real app cannot be made to die between two instructions. One shows which visitor's
//! address it was given.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rocket::serde::json::{self, Value};

use crate::common::eventually;
use crate::compose::{docker, inspect};

/// Caddy as it ships, on a network of its own with a container called `app`. All of it is removed
/// however the test ends.
pub struct Front {
    network: String,
    containers: Vec<String>,
}

impl Front {
    pub fn new(name: &str) -> Self {
        let network = format!("pageviews-{name}-{}", std::process::id());
        docker(&["network", "create", &network]);
        Self {
            network,
            containers: Vec::new(),
        }
    }

    /// The address of this machine on the network.
    fn gateway(&self) -> String {
        inspect(&self.network)["IPAM"]["Config"][0]["Gateway"]
            .as_str()
            .unwrap()
            .to_string()
    }

    /// Runs a container on the network. Returns its id.
    fn run(&mut self, options: &[&str], command: &[&str]) -> String {
        let start = ["run", "-d", "--network", &self.network];
        let id = docker(&[&start, options, &["caddy:2.11"], command].concat())
            .trim()
            .to_string();
        self.containers.push(id.clone());
        id
    }

    /// Runs Caddy with the shipped Caddyfile. Returns the container's id.
    pub fn caddy(&mut self, options: &[&str]) -> String {
        let caddyfile = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/Caddyfile:/etc/caddy/Caddyfile:ro"
        );
        let shipped = ["-v", caddyfile, "-p", "127.0.0.1::80"];
        self.run(&[&shipped, options].concat(), &[])
    }

    /// Starts Caddy with the shipped Caddyfile. Returns its URL.
    fn start(&mut self, options: &[&str]) -> String {
        let id = self.caddy(options);
        let port = published(&id, 80);
        let url = format!("http://127.0.0.1:{port}/");
        // Only Caddy itself answers 404 to this path. Docker's proxy accepts connections before
        // Caddy does and closes them at once, which minreq calls a status of 503.
        let healthz = minreq::get(format!("{url}healthz")).with_timeout(5);
        eventually("Caddy", || {
            let answer = healthz.clone().send();
            answer.is_ok_and(|answer| answer.status_code == 404)
        });
        url
    }
}

/// The port of this machine that leads to this port of the container `id`.
pub fn published(id: &str, port: u16) -> u16 {
    let address = docker(&["port", id, &format!("{port}/tcp")]);
    let (_, port) = address.trim().rsplit_once(':').unwrap();
    port.parse().unwrap()
}

impl Drop for Front {
    fn drop(&mut self) {
        let remove = |arguments: &[&str]| Command::new("docker").args(arguments).output();
        for id in &self.containers {
            let _ = remove(&["rm", "-fv", id]);
        }
        let _ = remove(&["network", "rm", &self.network]);
    }
}

/// Speaks as much HTTP as needed: answers the first `answers` requests of a connection, counts the
/// next one and dies.
fn serve(stream: TcpStream, requests: &AtomicU32, mut answers: u32) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        if answers == 0 {
            return Ok(());
        }
        answers -= 1;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        reader.get_mut().write_all(answer)?;
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_request_whose_app_dies_after_counting_is_sent_once() {
    let mut front = Front::new("once");
    let gateway = front.gateway();
    let listener = TcpListener::bind((gateway.as_str(), 8000)).unwrap();
    let requests = Arc::new(AtomicU32::new(0));
    let counted = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let requests = counted.clone();
            thread::spawn(move || serve(stream, &requests, 1));
        }
    });

    // The Caddyfile asks for this name, with the dot.
    let url = front.start(&["--add-host", &format!("app.:{gateway}")]);

    let get = |path: &str| {
        let url = format!("{url}{path}");
        let answer = minreq::get(url).with_timeout(20).send().unwrap();
        answer.status_code
    };
    assert_eq!(
        requests.load(Ordering::SeqCst),
        0,
        "/healthz went no further than Caddy"
    );
    for (round, path) in (1..).zip(["", "badge/readme.svg", "", "badge/a/b.svg?color=red"]) {
        assert_eq!(
            get(path),
            200,
            "after a failure the replica rests, and Caddy waits for it"
        );
        assert_eq!(get(path), 502, "the kept connection broke");
        let sent = requests.load(Ordering::SeqCst);
        assert_eq!(sent, 2 * round, "each was sent once");
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_visitor_cannot_claim_an_address() {
    const ECHO: &str = r#"printf '{
            servers {
                protocols h1 h2c
            }
        }
        :8000 {
            respond "address {header.X-Real-IP}"
        }' | caddy run --adapter caddyfile --config -"#;
    let mut front = Front::new("address");
    front.run(&["--network-alias", "app"], &["sh", "-c", ECHO]);
    let url = front.start(&[]);
    let told = || {
        let spoofed = minreq::get(format!("{url}live"))
            .with_header("X-Real-IP", "6.6.6.6")
            .with_header("X-Forwarded-For", "7.7.7.7");
        spoofed.with_timeout(20).send().unwrap()
    };
    eventually("the stand-in", || told().status_code == 200);
    let told = told();
    let told = told.as_str().unwrap();
    // To Caddy, this machine has the address of the network's gateway.
    assert_eq!(told, format!("address {}", front.gateway()));
}

#[test]
#[ignore = "needs Docker"]
fn every_server_has_time_limits_and_none_takes_early_data() {
    let caddyfile = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/Caddyfile:/etc/caddy/Caddyfile:ro"
    );
    let run = [
        "run",
        "--rm",
        "-v",
        caddyfile,
        "-e",
        "SITE_ADDRESS=counter.internal",
    ];
    let adapt = [
        "caddy:2.11",
        "caddy",
        "adapt",
        "--config",
        "/etc/caddy/Caddyfile",
    ];
    let adapted: Value = json::from_str(&docker(&[&run[..], &adapt].concat())).unwrap();
    let servers = adapted["apps"]["http"]["servers"].as_object().unwrap();
    let mut ports = Vec::new();
    for server in servers.values() {
        for limit in [
            "read_timeout",
            "read_header_timeout",
            "write_timeout",
            "idle_timeout",
        ] {
            assert!(server[limit].as_u64() > Some(0), "{limit} of {server}");
        }
        let port = server["listen"][0].as_str().unwrap();
        match port {
            ":443" => assert_eq!(server["allow_0rtt"], false),
            // See the comment in the Caddyfile.
            _ => assert_eq!(server["protocols"], json::json!(["h1"])),
        }
        ports.push(port);
    }
    ports.sort();
    assert_eq!(ports, [":443", ":80", ":8080"]);
}
