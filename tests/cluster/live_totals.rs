//! Open streams show each new total, through the real Caddy and from all replicas.

use std::collections::BTreeSet;

use crate::common::{Stream, eventually};
use crate::compose::{Cluster, metric, number, replica};

/// How many streams each replica holds, by its metrics.
fn held(cluster: &Cluster) -> Vec<u64> {
    let replicas = cluster.containers("app");
    let streams = |id: &String| metric(id, "pageviews_live_streams") as u64;
    replicas.iter().map(streams).collect()
}

#[test]
#[ignore = "needs Docker"]
fn a_view_counted_by_any_replica_shows_on_every_stream() {
    let cluster = Cluster::up(&[]);
    cluster.compose(&["up", "-d", "--scale", "app=2"]);
    cluster.wait_healthy();
    // Caddy has to find the second replica before it spreads streams over both.
    let mut streams = Vec::new();
    eventually("streams on both replicas", || {
        let mut stream = Stream::open(&cluster.url("/live"));
        stream.until(0);
        streams.push(stream);
        held(&cluster).iter().all(|streams| *streams > 0)
    });
    let mut answered = BTreeSet::new();
    eventually("a view by each replica", || {
        let answer = cluster.get("/");
        answered.insert(replica(&answer));
        let number = number(&answer).unwrap();
        for stream in &mut streams {
            stream.until(number);
        }
        answered.len() == 2
    });
    drop(streams);
    eventually("the end of the streams", || {
        // A replica notices the end of a stream when it writes to it.
        cluster.visit();
        held(&cluster).iter().all(|streams| *streams == 0)
    });
}

#[test]
#[ignore = "needs Docker"]
fn a_client_cannot_choose_the_address_by_which_its_streams_are_counted() {
    let cluster = Cluster::up(&[]);
    let open = |number: u8| {
        let address = format!("203.0.113.{number}");
        Stream::open_from(&address, &cluster.url("/live"))
    };
    let _streams: Vec<_> = (0..100).map(|number| open(number).unwrap()).collect();
    assert_eq!(open(100).err().map(|(status, _)| status), Some(429));
}
