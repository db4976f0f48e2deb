//! As much HTTP/1.1 as the tests need. Requests are written to the socket as they are.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::SOON;

/// A whole answer.
pub struct Answer {
    pub status: u16,
    /// The names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Whether the connection ends with this answer.
    pub closes: bool,
}

impl Answer {
    /// Reads the answer to `request`. An event stream is returned without its body.
    ///
    /// # Errors
    /// The answer is not HTTP, or it is cut off.
    pub fn read(stream: &mut impl BufRead, request: &[u8]) -> io::Result<Self> {
        let mut answer = Self::head(stream)?;
        // The server is ready for the body of the request. The answer follows.
        while answer.status == 100 {
            answer = Self::head(stream)?;
        }
        if answer.is_endless() || request.starts_with(b"HEAD ") || answer.status == 204 {
            return Ok(answer);
        }
        let mut body = Vec::new();
        if answer.header("transfer-encoding") == "chunked" {
            while read_chunk(stream, &mut body)? {}
        } else if answer.header("content-length").is_empty() && answer.closes {
            // A server that closes before it has read the whole request ends the answer like this.
            let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
            if let Err(error) = stream.read_to_end(&mut body)
                && !is_reset(&error)
            {
                return Err(error);
            }
        } else {
            let length = answer.header("content-length").parse();
            body = vec![0; length.map_err(io::Error::other)?];
            stream.read_exact(&mut body)?;
        }
        answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(answer)
    }

    /// Reads the status and the headers.
    fn head(stream: &mut impl BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            match read_line(stream)? {
                line if line.is_empty() => break,
                line => lines.push(line),
            }
        }
        let wrong = || io::Error::other(lines.join("\n"));
        let (first, rest) = lines.split_first().ok_or_else(wrong)?;
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|first| first.split(' ').nth(1)?.parse().ok());
        let split = |line: &String| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_string()))
        };
        let headers = rest.iter().map(split).collect::<Option<_>>();
        let mut answer = Self {
            status: status.ok_or_else(wrong)?,
            headers: headers.ok_or_else(wrong)?,
            body: String::new(),
            closes: first.starts_with("HTTP/1.0 "),
        };
        answer.closes |= answer.header("connection") == "close";
        Ok(answer)
    }

    /// The value of the header `name`, which is empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    fn is_endless(&self) -> bool {
        self.header("content-type").starts_with("text/event-stream")
    }
}

/// Reads one line and returns it without its end.
fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let line = String::from_utf8(line).map_err(io::Error::other)?;
    let line = line.strip_suffix("\r\n").map(String::from);
    line.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Adds the next chunk to `body`. Returns whether others follow.
fn read_chunk(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let length = usize::from_str_radix(&read_line(stream)?, 16).map_err(io::Error::other)?;
    let start = body.len();
    body.resize(start + length, 0);
    stream.read_exact(&mut body[start..])?;
    match read_line(stream)?.is_empty() {
        true => Ok(length > 0),
        false => Err(io::Error::other("a chunk without its end")),
    }
}

/// A connection, which is reused until the server closes it.
pub struct Connection {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// Will connect to `address`.
    pub fn to(address: &str) -> Self {
        Self {
            address: address.into(),
            stream: None,
        }
    }

    /// Sends `request` as it is.
    ///
    /// # Errors
    /// There is no answer, or it is not HTTP.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_read_timeout(Some(SOON))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        // The server may answer and close the connection before it has read everything.
        let _ = stream.get_mut().write_all(request);
        let answer = Answer::read(&mut stream, request)?;
        if !answer.closes && !answer.is_endless() {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}
