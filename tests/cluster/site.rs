//! A static site of somebody else: another origin than the counter. Its pages report what happens
//! in the browser that shows them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::common::eventually;

/// The host of the site. On the names of this machine, the script would do nothing.
pub const SITE: &str = "site.example";

/// What a page runs to report.
const SAY: &str = r#"const say = what => {
  return fetch("/say?" + encodeURIComponent(what), {keepalive: true});
};
const heard = async what => {
  while (!(await (await fetch("/heard")).text()).split("\n").includes(what)) {
    await new Promise(next => setTimeout(next, 20));
  }
};"#;

/// The line that counts a page of the site, with these attributes.
pub fn line(counter: &str, attributes: &str) -> String {
    format!(r#"<script async src="{counter}/count.js" {attributes}></script>"#)
}

/// These pages with their views.
pub fn counts(counts: &[(&str, i64)]) -> BTreeMap<String, i64> {
    counts
        .iter()
        .map(|(page, views)| (page.to_string(), *views))
        .collect()
}

/// The site, on a port of its own until the tests end.
pub struct Site {
    pub port: u16,
    said: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Serves `pages`: their paths, and the HTML of their bodies. In their scripts `say(what)`
    /// reports something, and `heard(what)` waits until any page has reported it. A page with a
    /// doctype of its own is served as it is.
    pub fn serve(pages: Vec<(&'static str, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (pages, heard) = (Arc::new(pages), said.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, heard) = (pages.clone(), heard.clone());
                // A browser opens connections that it may never use.
                thread::spawn(move || answer(&stream, &pages, &heard));
            }
        });
        Self { port, said }
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{SITE}:{}{path}", self.port)
    }

    /// Reports `what` to the pages.
    pub fn say(&self, what: &str) {
        self.said.lock().unwrap().push(what.into());
    }

    /// Waits until a page has said something that starts with `start`. Returns the rest.
    pub fn wait_for(&self, start: &str) -> String {
        let mut rest = None;
        eventually(&format!("a page says {start}"), || {
            let said = self.said.lock().unwrap();
            rest = said
                .iter()
                .find_map(|what| what.strip_prefix(start).map(str::to_string));
            rest.is_some()
        });
        rest.unwrap_or_default()
    }
}

/// Answers one request. A broken connection is the browser's affair.
fn answer(mut stream: &TcpStream, pages: &[(&str, String)], said: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(target) = lines
        .next()
        .and_then(|line| Some(line.split(' ').nth(1)?.to_string()))
    else {
        return;
    };
    lines.find(|line| line.is_empty());
    let body = if let Some(what) = target.strip_prefix("/say?") {
        let what = rocket::http::RawStr::new(what).percent_decode_lossy();
        said.lock().unwrap().push(what.into_owned());
        String::new()
    } else if target == "/heard" {
        said.lock().unwrap().join("\n")
    } else if let Some((_, body)) = pages.iter().find(|(path, _)| *path == target) {
        match body.starts_with("<!doctype") {
            true => body.clone(),
            false => format!(
                "<!doctype html><meta charset=utf-8><title>{target}</title>\
                 <link rel=icon href=data:,><script>{SAY}</script>{body}"
            ),
        }
    } else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
        return;
    };
    let _ = stream.write_all(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
             Cache-Control: no-cache\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
}
