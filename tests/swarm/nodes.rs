//! The nodes: what `nodes.sh` does with them.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::common::process::Supervisor;

/// How long a command of Docker may take. A node without a network never answers.
const DOCKER_TIMEOUT: &str = "120";

/// How long a visitor waits to be let in, and for the next byte. Longer than a view may wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes with a network between them. They are removed however the process ends.
pub struct Nodes {
    folder: PathBuf,
    _remover: Supervisor,
    /// All nodes of a machine have the same names, so only one process may have some.
    _lock: File,
}

impl Nodes {
    pub const ALL: [u8; 3] = [1, 2, 3];

    /// All nodes but one.
    pub fn but(lost: u8) -> Vec<u8> {
        let all = Self::ALL.into_iter();
        all.filter(|node| *node != lost).collect()
    }

    /// Starts the nodes, each with a Docker that does nothing yet.
    pub fn start() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("swarm");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/swarm/nodes.sh");
        let remove = "SWARM_STATE=\"$2\" \"$1\" down";
        let lock = File::create("/run/lock/pageviews-swarm-test").unwrap();
        lock.lock().unwrap();
        let nodes = Self {
            _lock: lock,
            _remover: Supervisor::at_end(remove, &[script.as_ref(), folder.as_ref()]),
            folder,
        };
        // What a run has left behind that was killed with its supervisor.
        nodes.script(&["down"]);
        nodes.script(&["up", "3"]);
        nodes
    }

    /// Cuts the power of a node. Nobody hears that its connections end.
    pub fn kill(&self, node: u8) {
        self.script(&["kill", &node.to_string()]);
    }

    /// Gives a node power again.
    pub fn restart(&self, node: u8) {
        self.script(&["start", &node.to_string()]);
    }

    /// Unplugs the network of a node.
    pub fn cut(&self, node: u8) {
        self.script(&["cut", &node.to_string()]);
    }

    /// Plugs it in again.
    pub fn mend(&self, node: u8) {
        self.script(&["mend", &node.to_string()]);
    }

    /// The address of a node's Docker, as `docker -H` takes it.
    pub fn docker_host(&self, node: u8) -> String {
        format!("unix://{}/node{node}/docker.sock", self.folder.display())
    }

    /// Runs docker on a node, which must succeed. Returns its output.
    pub fn docker(&self, node: u8, arguments: &[&str]) -> String {
        let output = self.try_docker(node, arguments);
        output.unwrap_or_else(|why| panic!("node {node}: {arguments:?}: {why}"))
    }

    /// The same, or what docker says is wrong.
    pub fn try_docker(&self, node: u8, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("timeout")
            .args(["--kill-after=5", DOCKER_TIMEOUT, "docker", "-H"])
            .arg(self.docker_host(node))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap().trim().into()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
        }
    }

    /// Whether the kernel can encrypt what crosses the network between the nodes (ESP).
    pub fn can_encrypt(&self) -> bool {
        let key = format!("0x{}", "01".repeat(20));
        let state = "-n pvs-1 xfrm state add src 198.18.77.1 dst 198.18.77.2 proto esp spi 1 \
                     mode transport aead rfc4106(gcm(aes))";
        let mut add = Command::new("ip");
        let output = add
            .args(state.split_whitespace())
            .args([&key, "64"])
            .output();
        output.unwrap().status.success()
    }

    fn script(&self, arguments: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/swarm/nodes.sh");
        let output = Command::new(script)
            .args(arguments)
            .env("SWARM_STATE", &self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nodes.sh {arguments:?}: {said}");
    }
}

/// The address of a node on the network between them.
pub fn address(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 77, node)
}

/// Connects to the web server of a node, as a visitor of the network between the nodes. The thread
/// stays in that network.
pub fn connect(node: u8) -> io::Result<TcpStream> {
    connect_from("pvs-lan", node)
}

/// The same as a visitor on the node itself, who needs no network.
pub fn connect_within(node: u8) -> io::Result<TcpStream> {
    connect_from(&format!("pvs-{node}"), node)
}

fn connect_from(namespace: &str, node: u8) -> io::Result<TcpStream> {
    let namespace = File::open(Path::new("/run/netns").join(namespace))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    let stream = TcpStream::connect_timeout(&SocketAddr::from((address(node), 80)), PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
