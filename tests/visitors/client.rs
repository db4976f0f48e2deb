//! Visitors' connections, which last for many requests. minreq opens one for each request.

use std::io::{self, BufReader, Read, Write};

use crate::common::connection::Answer;

/// The visitor's end of a connection that is kept between requests.
pub trait Client {
    /// Gets `path`. After an error the connection is of no more use.
    fn get(&mut self, path: &str) -> io::Result<Answer>;
}

/// A request of HTTP/1.1.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into()
}

/// HTTP/1.1.
pub struct Http1<S>(BufReader<S>);

impl<S: Read + Write> Http1<S> {
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }
}

impl<S: Read + Write> Client for Http1<S> {
    fn get(&mut self, path: &str) -> io::Result<Answer> {
        let request = request(path);
        let stream = self.0.get_mut();
        stream.write_all(&request)?;
        stream.flush()?;
        Answer::read(&mut self.0, &request)
    }
}
