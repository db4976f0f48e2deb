//! The program behind an nginx that somebody else set up.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::SOON;
use crate::common::{Supervised, eventually, or_skip};
use crate::support::{self, App, wait};

/// nginx with the fewest lines that make it a proxy. All the rest is its default.
fn configuration(folder: &str, app: &App) -> String {
    format!(
        "# One process, which ends with the test.
        daemon off;
        master_process off;
        pid {folder}/pid;
        error_log stderr;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            server {{
                # A port that is surely free has no name before nginx listens on it.
                listen unix:{folder}/socket;
                location / {{
                    proxy_pass http://{};
                }}
            }}
        }}",
        app.address
    )
}

#[test]
fn messages_pass_an_nginx_with_default_settings_at_once() {
    let url = wait(support::database());
    let app = App::on(&url);
    app.wait_ready();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    fs::write(format!("{path}/nginx.conf"), configuration(path, &app)).unwrap();
    let nginx = Supervised::spawn(
        // Debian has it where only root looks for programs.
        Command::new("nginx")
            .env(
                "PATH",
                format!("{}:/usr/sbin", std::env::var("PATH").unwrap()),
            )
            .args(["-c", &format!("{path}/nginx.conf"), "-e", "stderr"])
            .stdin(Stdio::null()),
    );
    let found = nginx.map_err(|error| format!("no nginx: {error}; apt-get install nginx-light"));
    let Some(_nginx) = or_skip("whether messages pass nginx", found) else {
        return;
    };
    let mut socket = None;
    eventually("nginx listens", || {
        socket = UnixStream::connect(format!("{path}/socket")).ok();
        socket.is_some()
    });
    let mut socket = socket.unwrap();
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
