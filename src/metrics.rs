//! What can be measured, in one room: every name, help text, unit and bucket; and `GET /metrics`, which shows them in
//! Prometheus' text format. Counted from the start of this process, for this replica alone.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use rocket::fairing::AdHoc;
use rocket::http::{ContentType, Status};
use rocket::{State, get, routes};

use crate::database::Db;
use crate::live::Live;
use crate::views::{LARGEST_BATCH, Views};

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

static REQUESTS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new(
        "pageviews_http_request_duration_seconds",
        "Time from a request's head to the head of its answer, so without the body of a stream. \
         route is the pattern that matched, or none.",
    );
    // An idle view takes half a millisecond, one in an outage until its deadline.
    let buckets = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0, 10.0,
    ];
    registered(HistogramVec::new(
        options.buckets(buckets.into()),
        &["route", "status"],
    ))
});

/// The child of [`REQUESTS`] that nearly every request belongs to: to find it by its labels costs more than to count in it.
static VISITS: LazyLock<Histogram> = LazyLock::new(|| REQUESTS.with_label_values(&["/", "200"]));

/// Views that the database has confirmed.
pub static VIEWS: LazyLock<IntCounter> = LazyLock::new(|| {
    registered(IntCounter::new(
        "pageviews_views_total",
        "Views whose commit was confirmed.",
    ))
});

/// How many views a confirmed batch held.
pub static BATCH_VIEWS: LazyLock<Histogram> = LazyLock::new(|| {
    let options = HistogramOpts::new(
        "pageviews_batch_views",
        "Views in each batch that was committed.",
    );
    let powers = (0..=LARGEST_BATCH.ilog2()).map(|power| f64::from(1 << power));
    registered(Histogram::with_opts(options.buckets(powers.collect())))
});

/// Seconds that a batch took.
pub static COMMIT_DURATION: LazyLock<Histogram> = LazyLock::new(|| {
    let options = HistogramOpts::new(
        "pageviews_commit_duration_seconds",
        "Time from sending a batch to its confirmation, of the copy that was confirmed.",
    );
    let buckets = [
        0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    ];
    registered(Histogram::with_opts(options.buckets(buckets.into())))
});

/// Visits that were answered without a number, by [`crate::views::Uncounted::word`].
pub static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "pageviews_views_refused_total",
        "Visits that got no number: the queue was full (busy), the database away (not_ready), \
         no confirmation came before the deadline (late), or the program ends (stopping).",
    );
    let refused: IntCounterVec = registered(IntCounterVec::new(options, &["reason"]));
    with_children(refused, &["busy", "not_ready", "late", "stopping"])
});

/// Batches that were sent again.
pub static RETRIES: LazyLock<IntCounter> = LazyLock::new(|| {
    registered(IntCounter::new(
        "pageviews_batch_retries_total",
        "Times that a batch was sent again, because nothing confirmed the copy before.",
    ))
});

/// What had become of batches that were sent again, when that was known: `committed` or `repeated`.
pub static OUTCOMES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new(
        "pageviews_unknown_outcomes_total",
        "Batches that were sent again until they were confirmed: an earlier copy was found committed by its number \
         (committed), or none was, and the last one added them (repeated).",
    );
    let outcomes: IntCounterVec = registered(IntCounterVec::new(options, &["outcome"]));
    with_children(outcomes, &["committed", "repeated"])
});

// What follows is read when somebody asks, and not counted as it happens.

static QUEUE: LazyLock<IntGauge> = LazyLock::new(|| {
    registered(IntGauge::new(
        "pageviews_queue_views",
        "Views that wait for the next batch.",
    ))
});

static QUEUE_LIMIT: LazyLock<IntGauge> = LazyLock::new(|| {
    registered(IntGauge::new(
        "pageviews_queue_limit_views",
        "Views that may wait: one more is refused.",
    ))
});

static DATABASE_READY: LazyLock<IntGauge> = LazyLock::new(|| {
    registered(IntGauge::new(
        "pageviews_database_ready",
        "Whether views can be committed, as far as the engine has heard: 1 or 0.",
    ))
});

static POOL: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new(
        "pageviews_pool_connections",
        "Connections of the pool, which everything but the engine shares.",
    );
    registered(IntGaugeVec::new(options, &["state"]))
});

static POOL_LIMIT: LazyLock<IntGauge> = LazyLock::new(|| {
    registered(IntGauge::new(
        "pageviews_pool_connections_limit",
        "Connections that the pool may open.",
    ))
});

static LIVE_STREAMS: LazyLock<IntGauge> = LazyLock::new(|| {
    registered(IntGauge::new(
        "pageviews_live_streams",
        "Streams of changing totals that are open.",
    ))
});

static BUILD: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("pageviews_build_info", "Always 1; which version this is.");
    registered(IntGaugeVec::new(options, &["version"]))
});

/// `metric`, which from now on is shown. Panics at a name that is malformed or taken; [`stage`] names all, so that
/// this is the launch.
fn registered<M: Collector + Clone + 'static>(metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("a name, labels and buckets that Prometheus understands");
    REGISTRY
        .register(Box::new(metric.clone()))
        .expect("a name of its own");
    metric
}

/// `counters`, which show 0 for all `values` of their label from the start: a rate over a counter that appears when it is
/// 1 misses the first.
fn with_children(counters: IntCounterVec, values: &[&str]) -> IntCounterVec {
    for value in values {
        counters.with_label_values(&[value]);
    }
    counters
}

/// A request was answered. `route` is the pattern that matched, never the path: a visitor may make up any number of those.
pub fn answered(route: Option<&str>, status: Status, took: Duration) {
    match (route, status.code) {
        (Some("/"), 200) => VISITS.observe(took.as_secs_f64()),
        (route, code) => REQUESTS
            .with_label_values(&[route.unwrap_or("none"), &code.to_string()])
            .observe(took.as_secs_f64()),
    }
}

/// A batch of `views` was confirmed, `took` after it was sent.
pub fn committed(views: usize, took: Duration) {
    VIEWS.inc_by(views as u64);
    BATCH_VIEWS.observe(views as f64);
    COMMIT_DURATION.observe(took.as_secs_f64());
}

/// Everything, as Prometheus reads it. For the network of the containers; Caddy shows it to nobody.
#[get("/metrics")]
fn metrics(
    views: &State<Views>,
    live: &State<Arc<Live>>,
    db: &Db,
) -> Result<(ContentType, String), Status> {
    let (waiting, limit) = views.queue();
    QUEUE.set(waiting as i64);
    QUEUE_LIMIT.set(limit as i64);
    DATABASE_READY.set(views.readiness().heard().is_ok().into());
    let (open, idle) = (i64::from(db.size()), db.num_idle() as i64);
    POOL.with_label_values(&["idle"]).set(idle);
    // Two readings of a pool at work: one may have been returned in between.
    POOL.with_label_values(&["used"]).set((open - idle).max(0));
    POOL_LIMIT.set(db.options().get_max_connections().into());
    LIVE_STREAMS.set(live.streams() as i64);
    let text = TextEncoder::new()
        .encode_to_string(&REGISTRY.gather())
        .map_err(|problem| {
            log::error!("the metrics cannot be written: {problem}");
            Status::InternalServerError
        })?;
    let format =
        ContentType::new("text", "plain").with_params([("version", "0.0.4"), ("charset", "utf-8")]);
    Ok((format, text))
}

/// Serves `/metrics`. Needs what it reads managed: the counter, the streams, the pool.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Metrics", |rocket| async {
        // Each is made by its first use, but shown from the start.
        LazyLock::force(&VISITS);
        for counter in [&VIEWS, &RETRIES] {
            LazyLock::force(counter);
        }
        for histogram in [&BATCH_VIEWS, &COMMIT_DURATION] {
            LazyLock::force(histogram);
        }
        for counters in [&REFUSED, &OUTCOMES] {
            LazyLock::force(counters);
        }
        BUILD.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        rocket.mount("/", routes![metrics])
    })
}
