//! The stack of `deploy/swarm`, started as its README says, and its parts on the nodes.

use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::SOON;
use crate::common::skip::skipped;
use crate::database::Database;
use crate::nodes::{Nodes, address, connect};
use crate::visitors::{Client, Http1};

/// The images that are made of this repository, and the one that is used as it is.
const IMAGES: [&str; 5] = [
    "pageviews",
    "pageviews-web",
    "pageviews-postgres",
    "pageviews-patroni",
    "postgres:18",
];

/// How long the stack must be whole before it surely stays so.
const SETTLED: Duration = Duration::from_secs(70);

/// The stack on three nodes. The first node leads the swarm at first.
pub struct Stack {
    pub nodes: Nodes,
    encryption: &'static str,
    /// What it was started with.
    pub database: Option<Database>,
}

impl Stack {
    /// The node from which the stack is started and updated. It has the data of one server, or the
    /// first server of three.
    pub const HOME: u8 = 3;

    /// The only stack of this process, for one test at a time, with a database that survives the
    /// loss of a node.
    pub fn get() -> MutexGuard<'static, Self> {
        Self::with(Database::Patroni)
    }

    /// The same with this database, which is empty if the last one was of the other kind.
    pub fn with(database: Database) -> MutexGuard<'static, Self> {
        static STACK: LazyLock<Mutex<Stack>> = LazyLock::new(|| Mutex::new(Stack::prepare()));
        let mut stack = STACK.lock().unwrap_or_else(PoisonError::into_inner);
        if stack.database != Some(database) {
            stack.change_to(database);
        }
        stack.wait_whole();
        stack
    }

    /// Nodes that form a swarm, with the images on one of them.
    fn prepare() -> Self {
        build_images();
        let nodes = Nodes::start();
        let encryption = match nodes.can_encrypt() {
            true => "on",
            false => {
                skipped("encryption between the nodes", "this kernel has no ESP");
                "off"
            }
        };
        let stack = Self {
            nodes,
            encryption,
            database: None,
        };
        let nodes = &stack.nodes;
        let first = address(1).to_string();
        nodes.docker(1, &["swarm", "init", "--advertise-addr", &first]);
        let token = nodes.docker(1, &["swarm", "join-token", "--quiet", "manager"]);
        for node in [2, 3] {
            nodes.docker(
                node,
                &["swarm", "join", "--token", &token, &format!("{first}:2377")],
            );
        }
        stack.load_images(&IMAGES);
        stack
    }

    /// Copies images of this machine's Docker to the node from which the stack is started.
    fn load_images(&self, images: &[&str]) {
        let mut save = Command::new("docker")
            .arg("save")
            .args(images)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let load = Command::new("docker")
            .args(["-H", &self.nodes.docker_host(Self::HOME), "load", "--quiet"])
            .stdin(save.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(
            load.status.success() && save.wait().unwrap().success(),
            "{load:?}"
        );
    }

    /// Starts or updates the stack.
    pub fn up(&self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/swarm/up.sh");
        let output = Command::new(script)
            .args([1, 2].map(|node| self.nodes.docker_host(node)))
            .env("DOCKER_HOST", self.nodes.docker_host(Self::HOME))
            .env("SKIP_BUILD", "1")
            .env("ENCRYPTION", self.encryption)
            .env("DATABASE", self.database.unwrap().name())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// The node that leads the swarm, as a node says that has a majority.
    pub fn leader(&self) -> Option<u8> {
        Nodes::ALL.into_iter().find(|node| {
            let leads = [
                "node",
                "inspect",
                "--format",
                "{{.ManagerStatus.Leader}}",
                "self",
            ];
            let leads = self.nodes.try_docker(*node, &leads);
            leads.is_ok_and(|leads| leads == "true")
        })
    }

    /// A node that neither leads nor has the primary.
    pub fn follower(&self) -> u8 {
        let leader = self.leader();
        let mut beside = Nodes::but(self.primary()).into_iter();
        beside.find(|node| leader != Some(*node)).unwrap()
    }

    /// Waits until the swarm has a leader, all nodes are ready, and all parts of the stack run.
    pub fn wait_whole(&self) {
        self.wait_whole_for(Duration::ZERO);
    }

    /// The same, until the stack surely stays whole. After a network is plugged in again, the
    /// managers quarrel about who leads, and Swarm stops what it started twice.
    pub fn wait_settled(&self) {
        self.wait_whole_for(SETTLED);
    }

    fn wait_whole_for(&self, time: Duration) {
        let (begun, mut whole_since, mut said) = (Instant::now(), None, String::new());
        while whole_since.is_none_or(|since: Instant| since.elapsed() < time) {
            match self.is_whole() {
                Ok(()) => {
                    whole_since.get_or_insert_with(Instant::now);
                }
                Err(why) => {
                    assert!(begun.elapsed() < SOON + time, "not whole: {why}");
                    if why != said {
                        println!("after {:.0?}: {why}", begun.elapsed());
                        said = why;
                    }
                    whole_since = None;
                }
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn is_whole(&self) -> Result<(), String> {
        let nodes = ["node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}"];
        let nodes = self.nodes.try_docker(Self::HOME, &nodes)?;
        let is_ready = |line: &&str| ["Ready Leader", "Ready Reachable"].contains(line);
        if nodes.lines().filter(is_ready).count() != Nodes::ALL.len() || !nodes.contains("Leader") {
            return Err(format!("nodes: {nodes:?}"));
        }
        for service in ["pageviews_web", "pageviews_app"] {
            let on = self.tasks(service)?;
            if on != Nodes::ALL.map(|node| format!("node{node}")) {
                return Err(format!("{service} on {on:?}"));
            }
        }
        self.is_database_whole()?;
        let count = |node| connect(node).and_then(|stream| Http1::new(stream).get("/api/pages/"));
        for node in Nodes::ALL {
            // In a thread of its own, because it stays in the visitors' network.
            let answer = thread::scope(|scope| scope.spawn(|| count(node)).join().unwrap());
            match answer {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => return Err(format!("node {node} answers {}", answer.status)),
                Err(error) => return Err(format!("node {node}: {error}")),
            }
        }
        Ok(())
    }

    /// The nodes on which tasks of `service` run, in order.
    fn tasks(&self, service: &str) -> Result<Vec<String>, String> {
        let tasks = self.list_tasks(service, "{{.Node}} {{.CurrentState}}")?;
        let running = |task: &String| Some(task.split_once(" Running")?.0.to_string());
        Ok(tasks.iter().filter_map(running).collect())
    }

    /// The tasks of `service` that shall run, in order, as `format` says.
    pub fn list_tasks(&self, service: &str, format: &str) -> Result<Vec<String>, String> {
        let list = "service ps --filter desired-state=running --format".split(' ');
        let list: Vec<_> = list.chain([format, service]).collect();
        let tasks = self.nodes.try_docker(Self::HOME, &list)?;
        let mut tasks: Vec<_> = tasks.lines().map(String::from).collect();
        tasks.sort_unstable();
        Ok(tasks)
    }
}

/// Builds the images, as they are in this checkout.
fn build_images() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut cluster = Command::new("docker-compose");
    cluster.arg("build");
    let mut patroni = Command::new("docker");
    patroni.args([
        "build",
        "--tag",
        "pageviews-patroni",
        "deploy/swarm/patroni",
    ]);
    for mut build in [cluster, patroni] {
        let build = build.current_dir(root).output().unwrap();
        assert!(build.status.success(), "{build:?}");
    }
}
