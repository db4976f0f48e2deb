//! The number that ticks, through the real Caddy and across replicas.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use crate::compose::{Cluster, SOON, docker, eventually, number};

/// An open stream. HTTP/1.1, so that what arrives is what Caddy passed on by then; its chunks, which may end in the middle of a
/// message, are put together.
struct Stream(BufReader<minreq::ResponseLazy>);

impl Stream {
    fn open(cluster: &Cluster) -> Self {
        // As a browser asks, compression included.
        let request = minreq::get(cluster.url("/live"))
            .with_header("Accept", "text/event-stream")
            .with_header("Accept-Encoding", "gzip, zstd")
            // Of the whole stream.
            .with_timeout(4 * SOON.as_secs());
        Self(BufReader::new(request.send_lazy().unwrap()))
    }

    /// Waits for the message that tells `total`, or more.
    fn until(&mut self, total: i64) {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ended");
            if let Some(data) = line.trim().strip_prefix("data:")
                && data.parse::<i64>().unwrap() >= total
            {
                return;
            }
        }
    }
}

/// How many streams each replica holds, by its own account.
fn held(cluster: &Cluster) -> Vec<u64> {
    let metrics = |id: &String| {
        // The image has no curl, but a probe.
        let url = "http://127.0.0.1:8000/metrics";
        docker(&["exec", id, "/app/pageviews", "health", url])
    };
    let streams = |metrics: String| {
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("pageviews_live_streams "));
        line.unwrap().parse().unwrap()
    };
    let replicas = cluster.containers("app");
    replicas.iter().map(metrics).map(streams).collect()
}

#[test]
#[ignore = "needs Docker"]
fn a_view_counted_by_any_replica_shows_on_every_stream() {
    let cluster = Cluster::up(&[]);
    cluster.compose(&["up", "-d", "--scale", "app=2"]);
    cluster.wait_healthy();
    // Caddy has to find the second replica before it spreads the streams.
    let mut streams = Vec::new();
    eventually("streams on both replicas", || {
        let mut stream = Stream::open(&cluster);
        stream.until(0);
        streams.push(stream);
        held(&cluster).iter().all(|streams| *streams > 0)
    });
    let mut answered = BTreeSet::new();
    eventually("a view by each replica", || {
        let answer = cluster.get("/");
        let (_, rest) = answer
            .as_str()
            .unwrap()
            .split_once(r#"id="replica">"#)
            .unwrap();
        answered.insert(rest.split('<').next().unwrap().to_string());
        let number = number(&answer).unwrap();
        for stream in &mut streams {
            stream.until(number);
        }
        answered.len() == 2
    });
    drop(streams);
    eventually("the end of the streams", || {
        // An idle stream is found to have ended when it is written to.
        cluster.visit();
        held(&cluster).iter().all(|streams| *streams == 0)
    });
}
