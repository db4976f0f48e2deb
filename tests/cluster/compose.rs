//! A cluster of its own for each test: a project with its own name, folder and free ports. It is
//! removed however the test ends.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::connect;
use crate::common::answer::{self, text};
use crate::common::eventually;
use crate::common::process::Supervisor;
use crate::docker::succeeded;
pub use crate::docker::{docker, inspect, kill, metric};
use crate::visitors::{Http1, Visits};

/// A project of docker-compose.yml.
pub struct Cluster {
    project: String,
    /// The folder of the project: a copy of the files that compose reads, and a file `.env`. The
    /// developer's own `.env` has no effect on the tests.
    pub folder: PathBuf,
    environment: Vec<(String, String)>,
    pub http_port: u16,
    pub https_port: u16,
    /// Removes the project and its folder when the test ends or the process does.
    _remover: Supervisor,
}

impl Cluster {
    /// Starts a cluster, and waits until it is healthy.
    pub fn up(environment: &[(&str, &str)]) -> Self {
        let cluster = Self::new(environment);
        cluster.compose(&["up", "-d"]);
        cluster.wait_healthy();
        cluster
    }

    /// A cluster that does not run yet and takes its settings from `.env`, as an owner's does.
    pub fn with_settings(settings: &str) -> Self {
        let cluster = Self::new(&[]);
        cluster.write_settings(settings);
        cluster
    }

    /// Replaces the file `.env`. Compose reads it with the next command.
    pub fn write_settings(&self, settings: &str) {
        fs::write(self.folder.join(".env"), settings).unwrap();
    }

    fn new(environment: &[(&str, &str)]) -> Self {
        static BUILD: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let project = format!(
            "pageviews-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let (http_port, https_port) = free_ports();
        let mut environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        for (name, port) in [("HTTP_PORT", http_port), ("HTTPS_PORT", https_port)] {
            if environment.iter().all(|(set, _)| set != name) {
                environment.push((name.into(), port.to_string()));
            }
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&project);
        fs::create_dir_all(&folder).unwrap();
        for file in ["docker-compose.yml", "docker-compose.override.yml"] {
            fs::copy(repository.join(file), folder.join(file)).unwrap();
        }
        // A broken setting must not keep the project from being removed.
        let remove = format!(
            "cd \"$1\"; rm -f .env; {} -p {project} down --volumes --remove-orphans --timeout 1
             rm -r \"$1\"",
            program().join(" ")
        );
        let remover = Supervisor::at_end(&remove, &[folder.as_ref()]);
        let cluster = Self {
            project,
            folder,
            environment,
            http_port,
            https_port,
            _remover: remover,
        };
        // One build for all tests: two at a time would each do all of the work.
        BUILD.call_once(|| {
            let build = cluster.command(repository).arg("build").output();
            succeeded(build.unwrap(), &["build"]);
        });
        cluster
    }

    /// Runs Compose, which must succeed. Returns its output.
    pub fn compose(&self, arguments: &[&str]) -> String {
        succeeded(self.try_compose(arguments), arguments)
    }

    pub fn try_compose(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&self.folder);
        let command = command.args(arguments).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Runs a command of an operator, which must succeed. Returns its output.
    pub fn pageviews(&self, arguments: &[&str]) -> String {
        self.compose(&[&["exec", "-T", "app", "/app/pageviews"], arguments].concat())
    }

    /// Compose in `folder`, without a subcommand yet.
    pub fn command(&self, folder: &Path) -> Command {
        let program = program();
        let mut command = Command::new(&program[0]);
        command
            .args(&program[1..])
            .args(["-p", &self.project])
            .envs(self.environment.iter().cloned())
            .current_dir(folder);
        command
    }

    /// The ids of the running containers of `service`.
    pub fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let ids = docker(&[
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            &project,
            "--filter",
            &service,
        ]);
        ids.lines().map(String::from).collect()
    }

    /// The ids of all containers, including those that have ended.
    pub fn all_containers(&self) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let ids = docker(&["ps", "-aq", "--no-trunc", "--filter", &project]);
        ids.lines().map(String::from).collect()
    }

    /// Checks that no container had to start again or ran out of memory, and that nothing panicked.
    pub fn assert_unharmed(&self) {
        for id in self.all_containers() {
            let container = inspect(&id);
            let name = &container["Name"];
            assert_eq!(container["RestartCount"], 0, "{name} ended");
            assert_eq!(container["State"]["OOMKilled"], false, "{name}");
        }
        let log = self.compose(&["logs", "--no-color"]);
        assert!(!log.contains("panic"), "{log}");
    }

    /// Docker's name of the network or volume `name` in docker-compose.yml.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    /// Waits until web, app and db are healthy.
    pub fn wait_healthy(&self) {
        for service in ["db", "app", "web"] {
            eventually(&format!("{service} is healthy"), || {
                let containers = self.containers(service);
                for id in &containers {
                    assert!(
                        inspect(id)["RestartCount"].as_u64() < Some(5),
                        "{service} does not stay up"
                    );
                }
                !containers.is_empty()
                    && containers
                        .iter()
                        .all(|id| inspect(id)["State"]["Health"]["Status"] == "healthy")
            });
        }
    }

    /// Kills the first process of each of these containers of `service`, as a crash would, and
    /// waits until Docker has started them again and they are healthy.
    pub fn crash(&self, service: &str, crashed: &[String]) {
        let all = self.containers(service);
        let started = || -> Vec<_> {
            let started = |id: &String| inspect(id)["State"]["StartedAt"].clone();
            crashed.iter().map(started).collect()
        };
        let before = started();
        crashed.iter().for_each(|id| kill(id));
        eventually(&format!("Docker starts {service} again"), || {
            started().iter().zip(&before).all(|(now, then)| now != then)
        });
        self.wait_healthy();
        assert_eq!(self.containers(service), all, "the same containers");
    }

    /// Where Caddy is published, for HTTP.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.http_port)
    }

    /// Caddy's own address, for HTTP. Docker's proxy in front of the published port does not bear
    /// thousands of connections, and hides the visitor's port.
    pub fn caddy(&self) -> SocketAddr {
        let web = inspect(&self.containers("web")[0]);
        let network = self.full_name("outside");
        let address = &web["NetworkSettings"]["Networks"][network]["IPAddress"];
        format!("{}:80", address.as_str().unwrap()).parse().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Gets `path` through Caddy.
    pub fn get(&self, path: &str) -> minreq::Response {
        minreq::get(self.url(path)).with_timeout(20).send().unwrap()
    }

    /// The total of `page`. Asking for it counts nothing.
    pub fn total(&self, page: &str) -> i64 {
        let total = self.compose(&["run", "--rm", "-T", "app", "get", page]);
        total.trim().parse().unwrap()
    }

    /// Visits the page and returns the number that it shows.
    pub fn visit(&self) -> i64 {
        let answer = self.get("/");
        number(&answer).unwrap_or_else(|| panic!("{} {:?}", answer.status_code, answer.as_str()))
    }

    /// Lets this many visitors come through Caddy while `meanwhile` runs.
    pub fn visited_by(&self, visitors: usize, meanwhile: impl FnOnce(&Visits)) -> Visits {
        let open = |_| Ok(Box::new(Http1::new(connect(self.http_port)?)) as _);
        Visits::over(visitors, open, meanwhile)
    }

    /// How often each page with a row in the database was counted.
    pub fn counts(&self) -> BTreeMap<String, i64> {
        let psql = "exec -T db psql -U pageviews -AtF= -c".split(' ');
        let query = psql.chain(["SELECT page, views FROM pages"]);
        let rows = self.compose(&query.collect::<Vec<_>>());
        let parse = |row: &str| {
            let (page, views) = row.rsplit_once('=').unwrap();
            (page.to_string(), views.parse().unwrap())
        };
        rows.lines().map(parse).collect()
    }

    /// Runs `docker-compose run --rm check`. Returns whether it passed, and its output.
    pub fn check(&self) -> (bool, String) {
        let output = self.try_compose(&["run", "--rm", "check"]);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.try_compose(&["logs", "--no-color", "--tail=30"]);
            eprintln!("{}", String::from_utf8_lossy(&logs.stdout));
        }
    }
}

/// The Compose program that the variable COMPOSE names.
fn program() -> Vec<String> {
    let program = std::env::var("COMPOSE").unwrap_or_else(|_| "docker-compose".into());
    program.split_whitespace().map(String::from).collect()
}

/// Two different free ports: both are held at the same time.
pub fn free_ports() -> (u16, u16) {
    let held = [(); 2].map(|()| TcpListener::bind("0.0.0.0:0").unwrap());
    let [http, https] = held.map(|listener| listener.local_addr().unwrap().port());
    (http, https)
}

/// The number of the view that this answer shows.
pub fn number(answer: &minreq::Response) -> Option<i64> {
    answer::number(answer.as_str().ok()?)
}

/// The name of the replica that answered.
pub fn replica(answer: &minreq::Response) -> String {
    text(answer.as_str().unwrap(), "replica").unwrap().into()
}
