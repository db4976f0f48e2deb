//! A proxy of the owner ends TLS, and the cluster has one port of the loopback interface, as
//! docs/operating.md describes it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use rocket::serde::json::Value;

use crate::SOON;
use crate::client::status;
use crate::common::nginx::Nginx;
use crate::common::{eventually, header};
use crate::compose::{Cluster, free_ports, inspect, number};
use crate::visitors::request;

/// Opens a live stream from the loopback address `from`. Returns the status and the stream.
fn stream_from(from: &str, to: SocketAddr) -> (u16, TcpStream) {
    use rocket::tokio::net::TcpSocket;
    let connect = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    };
    let runtime = rocket::tokio::runtime::Runtime::new().unwrap();
    let mut stream = runtime.block_on(connect);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&request("/live")).unwrap();
    (status(&stream).unwrap(), stream)
}

#[test]
#[ignore = "needs Docker"]
fn behind_another_proxy_the_cluster_has_one_port_and_knows_its_visitors() {
    let (port, front) = free_ports();
    let upstream = format!("127.0.0.1:{port}");
    let cluster = Cluster::up(&[
        ("COMPOSE_FILE", "docker-compose.yml"),
        ("HTTP_PORT", &upstream),
        ("TRUSTED_PROXIES", "172.16.0.0/12 192.168.0.0/16"),
        ("ROCKET_LIVE", "{streams_per_client=1}"),
    ]);
    let web = inspect(&cluster.containers("web")[0]);
    let ports = web["NetworkSettings"]["Ports"].as_object().unwrap();
    let published: Vec<_> = ports.iter().filter(|(_, bound)| !bound.is_null()).collect();
    let only: Value = rocket::serde::json::json!([
        { "HostIp": "127.0.0.1", "HostPort": port.to_string() }
    ]);
    assert_eq!(published, [(&"80/tcp".to_string(), &only)]);

    let forward = "proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let what = "whether the cluster works behind nginx";
    let listen = format!("127.0.0.1:{front}");
    let folder = tempfile::tempdir().unwrap();
    let Some(_nginx) = Nginx::start(what, folder.path(), &upstream, &listen, forward) else {
        return;
    };
    let page = minreq::get(format!("http://{listen}/")).with_timeout(20);
    eventually("nginx listens", || page.clone().send().is_ok());
    let page = page.send().unwrap();
    assert!(number(&page) > Some(1));
    // TLS ends elsewhere, so its owner decides about this header.
    assert_eq!(header(&page, "strict-transport-security"), None);

    // Each visitor has a place of its own, although all come through one proxy.
    let listen: SocketAddr = listen.parse().unwrap();
    let (one, _open) = stream_from("127.0.0.2", listen);
    let (again, _) = stream_from("127.0.0.2", listen);
    let (other, _other) = stream_from("127.0.0.3", listen);
    assert_eq!([one, again, other], [200, 429, 200]);
}
