//! As much HTTP/2 as a visitor needs, and as somebody needs who resets streams at once. A library
//! would not send a stream that it has reset.

use std::io::{self, BufReader, Read, Write};

use crate::common::connection::Answer;
use crate::visitors::Client;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Of SETTINGS and PING.
const ACK: u8 = 1;
/// Of HEADERS and DATA.
const END_STREAM: u8 = 1;
/// Of HEADERS.
const END_HEADERS: u8 = 4;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A whole request on `stream`.
pub fn request(stream: u32, method: &str, path: &str) -> Vec<u8> {
    // These are numbers of HPACK's table: a method, the scheme https, and two names whose values
    // follow, without compression.
    let mut head = vec![if method == "POST" { 0x83 } else { 0x82 }, 0x87];
    for (name, value) in [(1, "localhost"), (4, path)] {
        head.extend([name, u8::try_from(value.len()).unwrap()]);
        head.extend(value.bytes());
    }
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)
}

/// Says that the client does not want `stream` any more.
pub fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    frame(RESET, 0, stream, &CANCEL)
}

/// Begins a connection.
pub fn begin(connection: &mut impl Write) -> io::Result<()> {
    // A window that is large enough for all answers, so nothing has to be said about it again.
    let window = frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes());
    connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &window].concat())?;
    connection.flush()
}

pub struct Http2<S> {
    connection: BufReader<S>,
    /// The last stream.
    stream: u32,
}

impl<S: Read + Write> Http2<S> {
    pub fn new(mut connection: S) -> io::Result<Self> {
        begin(&mut connection)?;
        Ok(Self {
            connection: BufReader::new(connection),
            stream: 1,
        })
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.connection.get_mut().write_all(frame)?;
        self.connection.get_mut().flush()
    }

    /// The kind, the flags, the stream and the payload of the next frame.
    fn receive(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut header = [0; 9];
        self.connection.read_exact(&mut header)?;
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
        self.connection.read_exact(&mut payload)?;
        Ok((kind, flags, u32::from_be_bytes([s1, s2, s3, s4]), payload))
    }
}

impl<S: Read + Write> Client for Http2<S> {
    /// The answer is without headers, and its status is 0 if it is none of HPACK's table.
    fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.stream += 2;
        self.send(&request(self.stream, "GET", path))?;
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let (kind, flags, stream, payload) = self.receive()?;
            match kind {
                SETTINGS | PING if flags & ACK == 0 => {
                    let answer = if kind == PING { &payload[..] } else { &[] };
                    self.send(&frame(kind, ACK, 0, answer))?;
                }
                GOAWAY => return Err(io::Error::other(format!("GOAWAY {payload:?}"))),
                RESET if stream == self.stream => {
                    return Err(io::Error::other(format!("RST_STREAM {payload:?}")));
                }
                HEADERS if stream == self.stream => {
                    const TABLE: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
                    let number = payload.first().and_then(|first| first.checked_sub(0x88));
                    let known = number.and_then(|number| TABLE.get(usize::from(number)));
                    status = known.copied().unwrap_or(0);
                }
                DATA if stream == self.stream => body.extend(payload),
                _ => {}
            }
            if matches!(kind, HEADERS | DATA) && stream == self.stream && flags & END_STREAM != 0 {
                let body = String::from_utf8(body).map_err(io::Error::other)?;
                return Ok(Answer {
                    status,
                    headers: Vec::new(),
                    body,
                    closes: false,
                });
            }
        }
    }
}
