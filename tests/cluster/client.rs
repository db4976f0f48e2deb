//! Connections to a cluster, also with TLS: minreq trusts no authority of ours.

use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::common::connection::Answer;

/// How long a visitor waits for the next byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects to a published port of this machine.
pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Ends a connection with a reset, as a client that crashes.
pub fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// The status of the answer on a connection. Of an event stream only the head is waited for.
pub fn status(stream: &TcpStream) -> io::Result<u16> {
    let answer = Answer::read(&mut BufReader::new(stream), b"");
    answer.map(|answer| answer.status)
}

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Caddy's own certificate authority, which signs for `localhost`.
pub struct Authority(RootCertStore);

impl Authority {
    /// The command that prints the authority's certificate in the web server's container. Caddy
    /// creates the certificate at its first start.
    pub const PRINT: [&str; 2] = ["cat", "/data/caddy/pki/authorities/local/root.crt"];

    pub fn new(certificate: &str) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        Self(roots)
    }

    /// Connects to `localhost`, and speaks `protocol` there: `h2` or `http/1.1`.
    pub fn connect(&self, port: u16, protocol: &str) -> io::Result<Tls> {
        let mut config = ClientConfig::builder()
            .with_root_certificates(self.0.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let name = "localhost".try_into().unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(tls, connect(port)?);
        stream.flush()?;
        assert_eq!(stream.conn.alpn_protocol(), Some(protocol.as_bytes()));
        Ok(stream)
    }
}
