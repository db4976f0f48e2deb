//! A page's total as it changes, read from `/live`.

use std::io::{BufRead, BufReader, Read};

use crate::SOON;

/// An open event stream. minreq joins its chunks, which may end in the middle of a message.
pub struct Stream(BufReader<minreq::ResponseLazy>);

impl Stream {
    /// Opens the stream at `url` over HTTP/1.1, with the headers that a browser sends.
    pub fn open(url: &str) -> Self {
        let stream = Self::send(minreq::get(url));
        stream.unwrap_or_else(|refusal| panic!("{url} is no stream: {refusal:?}"))
    }

    /// Opens the stream at `url` with the headers by which a proxy names the client's `address`.
    ///
    /// # Errors
    /// The status and the body of a refusal.
    pub fn open_from(address: &str, url: &str) -> Result<Self, (u16, String)> {
        let named = minreq::get(url).with_header("X-Real-IP", address);
        Self::send(named.with_header("X-Forwarded-For", address))
    }

    fn send(request: minreq::Request) -> Result<Self, (u16, String)> {
        let request = request
            .with_header("Accept", "text/event-stream")
            .with_header("Accept-Encoding", "gzip, zstd")
            // The limit of the whole stream.
            .with_timeout(4 * SOON.as_secs());
        let answer = request.send_lazy().unwrap();
        let status = answer.status_code;
        let mut body = BufReader::new(answer);
        if status == 200 {
            return Ok(Self(body));
        }
        let mut refusal = String::new();
        body.read_to_string(&mut refusal).unwrap();
        Err((status, refusal))
    }

    /// The data of the next message. `None` at the end of the stream.
    pub fn message(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.trim_end().strip_prefix("data:") {
                return Some(data.to_string());
            }
        }
    }

    /// The total in the next message of a stream that follows one page.
    pub fn next(&mut self) -> Option<i64> {
        self.message().map(|data| data.parse().unwrap())
    }

    /// Waits for the message that holds `total`.
    pub fn until(&mut self, total: i64) {
        while self.next().expect("the stream goes on") != total {}
    }
}
