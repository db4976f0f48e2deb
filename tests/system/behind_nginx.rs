//! The program behind an nginx that somebody else set up.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::SOON;
use crate::common::eventually;
use crate::common::nginx::Nginx;
use crate::support::{self, App, wait};

#[test]
fn messages_pass_an_nginx_with_default_settings_at_once() {
    let url = wait(support::database());
    let app = App::on(&url);
    app.wait_ready();
    let what = "whether messages pass nginx";
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    // A port that is surely free has no name before nginx listens on it.
    let listen = format!("unix:{}", socket.display());
    let Some(_nginx) = Nginx::start(what, folder.path(), &app.address, &listen, "") else {
        return;
    };
    let mut connected = None;
    eventually("nginx listens", || {
        connected = UnixStream::connect(&socket).ok();
        connected.is_some()
    });
    let mut socket = connected.unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    // Without chunks, because the version is 1.0.
    socket
        .write_all(b"GET /live HTTP/1.0\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(socket).lines();
    let mut message = || {
        let is_data = |line: &String| line.starts_with("data:");
        lines.by_ref().map(|line| line.unwrap()).find(is_data)
    };
    assert_eq!(message().as_deref(), Some("data:0"));
    assert_eq!(app.visit(), 1);
    assert_eq!(message().as_deref(), Some("data:1"));
}
