//! A text as gzip (RFC 1952) of which a part differs from time to time. What stays the same is
//! compressed once. The part is a stored block of the same stream, which costs nothing to make.

use std::io::{self, Write};

use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rocket::request::{FromRequest, Outcome, Request};

/// The header: deflate, without a name, a time or a system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The most that a stored block can hold (RFC 1951).
const MAX_STORED: usize = 0xffff;

/// What stays the same.
pub struct Frame {
    /// The header and the compressed text before the part. It ends at a whole byte.
    start: Vec<u8>,
    /// The compressed text after the part.
    end: Vec<u8>,
    /// The checksum of the text before the part.
    checksum: Hasher,
    /// The length of the text before the part, in bytes.
    length: usize,
}

impl Frame {
    /// The frame of a part between two texts.
    ///
    /// # Errors
    /// None in practice: the encoder reports what its writer reports, and that is a vector.
    pub fn new(before: &str, after: &str) -> io::Result<Self> {
        let mut start = DeflateEncoder::new(HEADER.to_vec(), Compression::best());
        start.write_all(before.as_bytes())?;
        start.flush()?;
        let mut end = DeflateEncoder::new(Vec::new(), Compression::best());
        end.write_all(after.as_bytes())?;
        let mut checksum = Hasher::new();
        checksum.update(before.as_bytes());
        Ok(Self {
            start: start.get_ref().clone(),
            end: end.finish()?,
            checksum,
            length: before.len(),
        })
    }

    /// The whole, with `part` in its place. `after` is the text that the frame was made of.
    pub fn around(&self, part: &[u8], after: &str) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.start.len() + part.len() + self.end.len() + 64);
        whole.extend_from_slice(&self.start);
        for block in part.chunks(MAX_STORED) {
            let length = block.len() as u16;
            whole.push(0);
            whole.extend_from_slice(&length.to_le_bytes());
            whole.extend_from_slice(&(!length).to_le_bytes());
            whole.extend_from_slice(block);
        }
        whole.extend_from_slice(&self.end);
        let mut checksum = self.checksum.clone();
        checksum.update(part);
        checksum.update(after.as_bytes());
        let length = self.length + part.len() + after.len();
        whole.extend_from_slice(&checksum.finalize().to_le_bytes());
        whole.extend_from_slice(&(length as u32).to_le_bytes());
        whole
    }
}

/// Whether the client reads gzip.
pub struct ReadsGzip(pub bool);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for ReadsGzip {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        let mut accepted = request.headers().get("Accept-Encoding");
        Outcome::Success(Self(accepted.any(names_gzip)))
    }
}

/// Whether the value of an `Accept-Encoding` names gzip, and not with the weight 0.
fn names_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_refused = |weight: &str| {
            let weight = weight.strip_prefix("q=").map(str::parse::<f32>);
            matches!(weight, Some(Ok(0.)))
        };
        parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
            && !parts.any(is_refused)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in(
            before in ".{0,3000}", part in ".{0,400}", after in ".{0,3000}", times in 1..300_usize
        ) {
            let part = part.repeat(times);
            let frame = Frame::new(&before, &after).expect("a vector takes all");
            let mut text = String::new();
            let whole = frame.around(part.as_bytes(), &after);
            // It checks the checksum and the length.
            let read = GzDecoder::new(&*whole).read_to_string(&mut text);
            prop_assert!(read.is_ok(), "{read:?}");
            prop_assert_eq!(text, before + &part + &after);
        }
    }

    #[test]
    fn only_who_reads_gzip_gets_it() {
        for yes in [
            "gzip",
            "gzip, deflate, br, zstd",
            "br;q=1.0, GZIP;q=0.2",
            "deflate,gzip",
        ] {
            assert!(names_gzip(yes), "{yes}");
        }
        for no in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip; q=0.0, br",
            "x-gzippy",
        ] {
            assert!(!names_gzip(no), "{no}");
        }
    }
}
