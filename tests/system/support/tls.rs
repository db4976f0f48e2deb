//! A PostgreSQL server that offers TLS, and authorities that issue certificates.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use private_postgres::PrivatePostgres;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A certificate with its key, both in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// An authority that nobody trusts unless told to.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub certificate: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// A certificate for the host or the user `name`.
    pub fn issue(&self, name: &str) -> Pair {
        self.issue_until(name, 2100)
    }

    /// The same certificate, which ends with the year before `year`.
    pub fn issue_until(&self, name: &str, year: i32) -> Pair {
        let mut params = CertificateParams::new([name.into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A server on a port of 127.0.0.1. It stops when this is dropped, or when the process ends.
pub struct TlsServer {
    server: PrivatePostgres,
    pg_ctl: PathBuf,
    port: u16,
}

impl TlsServer {
    pub fn new() -> Self {
        let server = PrivatePostgres::ephemeral().unwrap();
        // The first word is the path of the program.
        let command = fs::read_to_string(server.data().join("postmaster.opts")).unwrap();
        let program = command.split_whitespace().next().unwrap();
        let pg_ctl = Path::new(program).with_file_name("pg_ctl");
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        Self {
            server,
            pg_ctl,
            port,
        }
    }

    /// Its database, as `parameters` say.
    pub fn url(&self, parameters: &str) -> String {
        let port = self.port;
        format!("postgres://pageviews@localhost:{port}/pageviews?{parameters}")
    }

    /// Starts it again with the certificate `own`; without one it offers no TLS. With `clients` it
    /// wants a client certificate of this authority.
    pub fn restart(&self, own: Option<&Pair>, clients: Option<&Authority>) {
        let mut options = format!("-c listen_addresses=127.0.0.1 -c port={}", self.port);
        let mut rules = "host all all 127.0.0.1/32 trust\n";
        if let Some(own) = own {
            self.write("server.crt", &own.certificate);
            self.write("server.key", &own.key);
            options += " -c ssl=on";
        }
        if let Some(clients) = clients {
            self.write("clients.crt", &clients.certificate);
            options += " -c ssl_ca_file=clients.crt";
            rules = "hostssl all all 127.0.0.1/32 cert\n";
        }
        self.write("pg_hba.conf", rules);
        let data = self.server.data();
        let owner = fs::metadata(data).unwrap();
        let status = Command::new(&self.pg_ctl)
            .args(["restart", "--silent", "--wait", "--mode=fast", "--options"])
            .arg(format!("{options} -c unix_socket_directories="))
            .arg("--pgdata")
            .arg(data)
            .arg("--log")
            .arg(data.join("server.log"))
            // The user that the server runs as: PostgreSQL refuses root.
            .gid(owner.gid())
            .uid(owner.uid())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let log = fs::read_to_string(data.join("server.log")).unwrap();
        assert!(status.success(), "{log}");
    }

    /// Writes a file that only the server's user may read.
    fn write(&self, name: &str, text: &str) {
        let (data, path) = (self.server.data(), self.server.data().join(name));
        let owner = fs::metadata(data).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}
