//! A network of its own for a program, in which no interface comes or goes.
//!
//! Chromium ends its requests when the network changes, and Docker changes it with each container
//! of another test.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::common::Supervised;

/// Makes the network, and says so. Then it waits for a line, and becomes the program. Without an
/// interface besides the loopback a browser would take itself for offline. The interfaces get no
/// address by themselves, which would come later.
const START: &str = r#"ip link add quiet type veth peer name silent
for interface in quiet silent; do ip link set $interface addrgenmode none; done
ip link set lo up && ip link set quiet up && ip link set silent up &&
ip address add 192.0.2.1/24 dev quiet && echo ready && read -r _ && exec "$@" >/dev/null"#;

/// Starts `program` in a network of its own, in which these ports of 127.0.0.1 lead to those of
/// this machine. Without root or iproute2 it starts in the network of this machine. Nobody reads
/// what it prints.
///
/// # Errors
/// The program cannot be started.
pub fn start(program: &mut Command, ports: &[u16]) -> io::Result<Supervised> {
    if !is_root() || !is_there("ip") {
        let silent = program.stdin(Stdio::null()).stdout(Stdio::null());
        return Supervised::spawn(silent.stderr(Stdio::null()));
    }
    let mut command = Command::new("unshare");
    command
        .args(["--net", "sh", "-c", START, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut started = Supervised::spawn(&mut command)?;
    let mut said = String::new();
    BufReader::new(started.child.stdout.take().unwrap()).read_line(&mut said)?;
    assert_eq!(said, "ready\n", "the network was not made");
    let network = File::open(format!("/proc/{}/ns/net", started.child.id()))?;
    for (&port, listener) in ports.iter().zip(listen(&network, ports)?) {
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || pass_on(&stream, port));
            }
        });
    }
    started.child.stdin.take().unwrap().write_all(b"\n")?;
    Ok(started)
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether there is such a program.
pub fn is_there(program: &str) -> bool {
    let find = format!("command -v {program}");
    let found = Command::new("sh").args(["-c", &find]).output();
    found.is_ok_and(|found| found.status.success())
}

/// Listens in a network. Whoever takes the connections need not be in it.
fn listen(network: &File, ports: &[u16]) -> io::Result<Vec<TcpListener>> {
    let listen = || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let listen = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port));
        ports.iter().map(listen).collect()
    };
    // In a thread of its own, because it stays in the network.
    thread::scope(|scope| scope.spawn(listen).join().unwrap())
}

/// Passes a connection on to a port of this machine, until both sides have ended it.
fn pass_on(stream: &TcpStream, port: u16) {
    let Ok(upstream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return;
    };
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        scope.spawn(|| copy(stream, &upstream));
        copy(&upstream, stream);
    });
}
