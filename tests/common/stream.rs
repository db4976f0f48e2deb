//! A page's total as it changes, read from `/live`.

use std::io::{BufRead, BufReader};

use crate::SOON;

/// An open event stream. minreq joins its chunks, which may end in the middle of a message.
pub struct Stream(BufReader<minreq::ResponseLazy>);

impl Stream {
    /// Opens the stream at `url` over HTTP/1.1, with the headers that a browser sends.
    pub fn open(url: &str) -> Self {
        let request = minreq::get(url)
            .with_header("Accept", "text/event-stream")
            .with_header("Accept-Encoding", "gzip, zstd")
            // The limit of the whole stream.
            .with_timeout(4 * SOON.as_secs());
        Self(BufReader::new(request.send_lazy().unwrap()))
    }

    /// The total in the next message. `None` at the end of the stream.
    pub fn next(&mut self) -> Option<i64> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.trim_end().strip_prefix("data:") {
                return Some(data.parse().unwrap());
            }
        }
    }

    /// Waits for the message that holds `total`.
    pub fn until(&mut self, total: i64) {
        while self.next().expect("the stream goes on") != total {}
    }
}
