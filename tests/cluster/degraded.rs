//! A replica that cannot count, and a cluster that is full: other visitors hardly notice. Where no
//! replica runs, visitors soon know.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::SOON;
use crate::client::{reset, status};
use crate::common::{Stream, eventually};
use crate::compose::{Cluster, docker, metric, replica};
use crate::visitors::request;

#[test]
#[ignore = "needs Docker"]
fn a_replica_without_its_database_costs_hardly_a_visit() {
    let cluster = Cluster::up(&[("APP_REPLICAS", "3")]);
    let before = cluster.visit();
    let back = cluster.full_name("back");
    let cut = cluster.containers("app")[0].clone();
    let mut own_visits = 0;
    let visits = cluster.visited_by(4, |visits| {
        eventually("load", || visits.acknowledged() > 50);
        docker(&["network", "disconnect", &back, &cut]);
        let end = visits.elapsed() + Duration::from_secs(20);
        eventually("20 s of load", || visits.elapsed() > end);
        docker(&["network", "connect", &back, &cut]);
        eventually("the replica counts again", || {
            let answer = cluster.get("/");
            own_visits += 1;
            answer.status_code == 200 && cut.starts_with(&replica(&answer))
        });
    });
    let (refused, acknowledged) = (visits.refused(), visits.acknowledged());
    println!("{} of {acknowledged} refused: {refused:?}", refused.len());
    assert!(refused.len() * 100 < acknowledged);
    visits.add_up(cluster.visit() - 1 - before, 0..=own_visits);
}

#[test]
#[ignore = "needs Docker"]
fn a_replica_that_vanishes_leaves_no_session_in_the_database() {
    let cluster = Cluster::up(&[]);
    let back = cluster.full_name("back");
    let app = &cluster.containers("app")[0];
    let sessions = || -> u32 {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pageviews'";
        let psql = [
            "exec",
            "-T",
            "db",
            "psql",
            "-U",
            "pageviews",
            "-Atc",
            sessions,
        ];
        cluster.compose(&psql).trim().parse().unwrap()
    };
    assert!(sessions() > 0);
    // Neither side is told that the connections end.
    docker(&["network", "disconnect", &back, app]);
    let begun = Instant::now();
    eventually("the end of its sessions", || sessions() == 0);
    println!("its sessions ended after {:.1?}", begun.elapsed());
    docker(&["network", "connect", &back, app]);
    eventually("a visit", || cluster.get("/").status_code == 200);
}

/// Visits `/` over a new connection, without waiting for the answer.
fn visit(caddy: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(caddy).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&request("/")).unwrap();
    stream
}

#[test]
#[ignore = "needs Docker"]
fn a_cluster_that_is_full_stays_up_and_answers() {
    const STREAMS: usize = 1_000;
    const STREAMS_PER_CLIENT: usize = 100;
    // Those of the queue and those of the batch on its way.
    const WAITING: usize = 2_000 + 2_048;

    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let cluster = Cluster::up(&[("TRUSTED_PROXIES", "private_ranges")]);
    let app = &cluster.containers("app")[0];
    let caddy = cluster.caddy();

    // This test plays a proxy that vouches for its clients' addresses.
    let live = format!("http://{caddy}/live");
    let open = |client: &str| Stream::open_from(client, &live);
    let mut streams: Vec<_> = (0..STREAMS)
        .map(|n| open(&format!("192.0.2.{}", n / STREAMS_PER_CLIENT)).unwrap())
        .collect();
    for client in ["192.0.2.0", "198.51.100.1"] {
        let refused = open(client).err().map(|(status, _)| status);
        assert_eq!(refused, Some(429), "one more stream, of {client}");
    }
    // A batch that cannot commit keeps all later views waiting.
    let database = &cluster.containers("db")[0];
    docker(&["pause", database]);
    let queue = || metric(app, "pageviews_queue_views") as usize;
    let mut waiting = vec![visit(caddy)];
    eventually("the first view leaves the queue", || queue() == 0);
    waiting.extend((0..WAITING + 500).map(|_| visit(caddy)));
    eventually("a full queue", || queue() == 2_000);
    docker(&["unpause", database]);
    let answers: Vec<_> = waiting
        .iter()
        .map(|stream| status(stream).unwrap())
        .collect();
    let counted = answers.iter().filter(|status| **status == 200).count();
    let refused = answers.iter().filter(|status| **status == 429).count();
    println!("{counted} counted, {refused} refused of {}", answers.len());
    let number = cluster.visit();
    cluster.assert_unharmed();
    for stream in &mut streams {
        stream.until(number);
    }
}

#[test]
#[ignore = "needs Docker"]
fn visits_without_a_replica_end_soon_and_leave_room_in_the_log() {
    const VISITS: usize = 200;
    // Caddy tries for 5 s to find a replica, and logs each try.
    const LONGEST: Duration = Duration::from_secs(15);
    const TRY: &str = "failed getting dynamic upstreams";
    // What the Caddyfile lets through of lines with the same message.
    const LINES_PER_SECOND: usize = 10;

    let cluster = Cluster::up(&[]);
    cluster.compose(&["stop", "app"]);
    let caddy = cluster.caddy();
    let begun = Instant::now();
    for stream in (0..VISITS).map(|_| visit(caddy)) {
        reset(stream);
    }
    let waiting: Vec<_> = (0..VISITS).map(|_| visit(caddy)).collect();
    for stream in &waiting {
        assert_eq!(status(stream).unwrap(), 503);
    }
    let elapsed = begun.elapsed();
    let log = cluster.compose(&["logs", "--no-color", "web"]);
    let lines = log.matches(TRY).count();
    println!("{lines} lines, {elapsed:?}");
    assert!(elapsed < LONGEST);
    assert!(lines > 0);
    // A second may be cut in two. Of the further lines a few are kept.
    let seconds = elapsed.as_secs() as usize + 2;
    assert!(lines <= seconds * LINES_PER_SECOND + VISITS);
}
