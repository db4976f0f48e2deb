//! A real nginx in front of what is tested.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Supervised, or_skip};

/// An nginx that passes everything on. It ends when this value is dropped.
pub struct Nginx {
    _process: Supervised,
}

impl Nginx {
    /// Starts nginx in front of `upstream`, listening on `listen`, with its files in `folder`. The
    /// `location` has these further lines. Without nginx, says that `what` is not proven.
    pub fn start(
        what: &str,
        folder: &Path,
        upstream: &str,
        listen: &str,
        location: &str,
    ) -> Option<Self> {
        let path = folder.to_str().unwrap();
        // The fewest lines that make it a proxy. All the rest is its default.
        let configuration = format!(
            "# One process, which ends with the test.
            daemon off;
            master_process off;
            pid {path}/pid;
            error_log stderr;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {path}/body;
                proxy_temp_path {path}/proxy;
                fastcgi_temp_path {path}/fastcgi;
                uwsgi_temp_path {path}/uwsgi;
                scgi_temp_path {path}/scgi;
                server {{
                    listen {listen};
                    location / {{
                        proxy_pass http://{upstream};
                        {location}
                    }}
                }}
            }}"
        );
        let file = format!("{path}/nginx.conf");
        fs::write(&file, configuration).unwrap();
        // Debian has it where only root looks for programs.
        let programs = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let nginx = Supervised::spawn(
            Command::new("nginx")
                .env("PATH", programs)
                .args(["-c", &file, "-e", "stderr"])
                .stdin(Stdio::null()),
        );
        let remedy = |error| format!("no nginx: {error}; apt-get install nginx-light");
        Some(Self {
            _process: or_skip(what, nginx.map_err(remedy))?,
        })
    }
}
