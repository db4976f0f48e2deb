//! As much HTTP/1.1 as the application speaks, written to the socket as it is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::requests::Request;
use crate::SOON;
use crate::support::App;

/// An answer of the application.
pub struct Answer {
    pub status: u16,
    /// The names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The value of the header `name`, which is empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// A connection, which is reused until the application closes it.
pub struct Connection<'a> {
    pub app: &'a App,
    pub stream: Option<BufReader<TcpStream>>,
}

impl Connection<'_> {
    /// Sends one request. An event stream is returned without its body.
    ///
    /// # Errors
    /// The answer is not HTTP.
    pub fn ask(&mut self, Request { method, target }: &Request) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.app.address)?;
                stream.set_read_timeout(Some(SOON))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        write!(
            stream.get_mut(),
            "{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n"
        )?;
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            stream.read_until(b'\n', &mut line)?;
            let line = String::from_utf8(line).map_err(io::Error::other)?;
            match line.strip_suffix("\r\n") {
                Some("") => break,
                Some(line) => lines.push(line.to_string()),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let status = lines[0]
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let split = |line: &String| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_string()))
        };
        let headers = lines[1..].iter().map(split).collect::<Option<_>>();
        let (Some(status), Some(headers)) = (status, headers) else {
            return Err(io::Error::other(lines.join("\n")));
        };
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        // The body has no end.
        if answer
            .header("content-type")
            .starts_with("text/event-stream")
        {
            return Ok(answer);
        }
        if *method != "HEAD" && status != 204 {
            let length = answer
                .header("content-length")
                .parse()
                .map_err(io::Error::other)?;
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        }
        if answer.header("connection") != "close" {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}
