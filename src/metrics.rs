//! What can be measured: the name, help text, unit and buckets of every metric.
//!
//! A replica counts from the start of its process, for itself alone.

use std::time::Duration;

use prometheus::{
    Error, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder, register_gauge_with_registry, register_histogram_vec_with_registry,
    register_histogram_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_vec_with_registry,
    register_int_gauge_with_registry,
};

/// In seconds. An idle view takes half a millisecond, and a view in an outage up to its deadline.
const REQUEST_BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0, 10.0, 30.0,
];

/// In seconds.
const COMMIT_BUCKETS: [f64; 13] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// The metrics of one replica.
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    views: IntCounter,
    batch_views: Histogram,
    commit_duration: Histogram,
    refused: IntCounterVec,
    not_counted: IntCounterVec,
    retries: IntCounter,
    unknown_outcomes: IntCounterVec,
    rejections: IntCounter,
    notification_queue: Gauge,
    queue: IntGauge,
    queue_limit: IntGauge,
    database_ready: IntGauge,
    pool: IntGaugeVec,
    pool_limit: IntGauge,
    live_streams: IntGauge,
    live_streams_limit: IntGauge,
}

/// What is measured at the moment when somebody asks for the metrics.
pub(crate) struct Gauges {
    pub queue: usize,
    pub queue_limit: usize,
    pub database_ready: bool,
    pub pool_open: u32,
    pub pool_idle: usize,
    pub pool_limit: u32,
    pub notification_queue: Option<f64>,
    pub live_streams: usize,
    pub live_streams_limit: usize,
}

impl Metrics {
    /// All metrics at zero.
    ///
    /// # Errors
    /// A name is malformed or used twice, which the first run of the program shows.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        register_int_gauge_vec_with_registry!(
            "pageviews_build_info",
            "Always 1; the label is the version of the program.",
            &["version"],
            registry
        )?
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1);
        let this = Self {
            requests: register_histogram_vec_with_registry!(
                "pageviews_http_request_duration_seconds",
                "Time from the head of a request to the head of its response, so without the body \
                 of a stream. route is the pattern that matched, or none.",
                &["route", "status"],
                REQUEST_BUCKETS.into(),
                registry
            )?,
            views: register_int_counter_with_registry!(
                "pageviews_views_total",
                "Views whose commit was confirmed.",
                registry
            )?,
            batch_views: register_histogram_with_registry!(
                "pageviews_batch_views",
                "Views in each batch that was committed.",
                (0..=12).map(|power| f64::from(1 << power)).collect(),
                registry
            )?,
            commit_duration: register_histogram_with_registry!(
                "pageviews_commit_duration_seconds",
                "Time from sending a batch to its confirmation, of the copy that was confirmed.",
                COMMIT_BUCKETS.into(),
                registry
            )?,
            refused: register_int_counter_vec_with_registry!(
                "pageviews_views_refused_total",
                "Visits that got no number: too many waited (busy), there were too many pages for \
                 a new one (page_limit), the database was away (not_ready), no confirmation came \
                 before the deadline (late), or the program was ending (stopping).",
                &["reason"],
                registry
            )?,
            not_counted: register_int_counter_vec_with_registry!(
                "pageviews_views_not_counted_total",
                "Visits that added nothing to a count: of a crawler, link preview or monitor \
                 (bot), above the limit of the client (limit), or by a browser that guesses that \
                 somebody may visit (speculative).",
                &["reason"],
                registry
            )?,
            retries: register_int_counter_with_registry!(
                "pageviews_batch_retries_total",
                "Times that a batch was sent again, because the copy before was not confirmed.",
                registry
            )?,
            unknown_outcomes: register_int_counter_vec_with_registry!(
                "pageviews_unknown_outcomes_total",
                "Batches that were confirmed after they had been sent again: an earlier copy was \
                 found committed (committed), or the last copy added the views (repeated).",
                &["outcome"],
                registry
            )?,
            rejections: register_int_counter_with_registry!(
                "pageviews_batch_rejections_total",
                "Batches that the database refused to add. Their views are sent again in smaller \
                 batches.",
                registry
            )?,
            notification_queue: register_gauge_with_registry!(
                "pageviews_notification_queue_ratio",
                "How full the server's queue of notifications is, from 0 to 1; NaN if the \
                 database does not say.",
                registry
            )?,
            queue: register_int_gauge_with_registry!(
                "pageviews_queue_views",
                "Views that wait for the next batch.",
                registry
            )?,
            queue_limit: register_int_gauge_with_registry!(
                "pageviews_queue_limit_views",
                "Views that may wait: one more is refused.",
                registry
            )?,
            database_ready: register_int_gauge_with_registry!(
                "pageviews_database_ready",
                "Whether views can be committed, as far as the engine knows: 1 or 0.",
                registry
            )?,
            pool: register_int_gauge_vec_with_registry!(
                "pageviews_pool_connections",
                "Connections of the pool, which everything but the engine shares.",
                &["state"],
                registry
            )?,
            pool_limit: register_int_gauge_with_registry!(
                "pageviews_pool_connections_limit",
                "Connections that the pool may open.",
                registry
            )?,
            live_streams: register_int_gauge_with_registry!(
                "pageviews_live_streams",
                "Open event streams.",
                registry
            )?,
            live_streams_limit: register_int_gauge_with_registry!(
                "pageviews_live_streams_limit",
                "Event streams that may be open: one more is refused.",
                registry
            )?,
            registry,
        };
        // They show 0 from the start: `rate` misses the first event of a counter that appears
        // with the value 1.
        for reason in ["busy", "page_limit", "not_ready", "late", "stopping"] {
            this.refused.with_label_values(&[reason]);
        }
        for reason in ["bot", "limit", "speculative"] {
            this.not_counted.with_label_values(&[reason]);
        }
        for outcome in ["committed", "repeated"] {
            this.unknown_outcomes.with_label_values(&[outcome]);
        }
        Ok(this)
    }

    /// Notes a response. `route` is the pattern that matched and never the path, which a visitor
    /// could make up.
    pub fn answered(&self, route: Option<&str>, status: u16, took: Duration) {
        self.requests
            .with_label_values(&[route.unwrap_or("none"), &status.to_string()])
            .observe(took.as_secs_f64());
    }

    /// Notes a batch of `views` that was confirmed `took` after it was sent.
    pub fn committed(&self, views: usize, took: Duration) {
        self.views.inc_by(views as u64);
        self.batch_views.observe(views as f64);
        self.commit_duration.observe(took.as_secs_f64());
    }

    /// Notes a visit that got no number, for one of the reasons that the help text lists.
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Notes a visit that does not count, for one of the reasons that the help text lists.
    pub fn not_counted(&self, reason: &str) {
        self.not_counted.with_label_values(&[reason]).inc();
    }

    /// Notes that a batch is sent again.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// Notes that the database refused a batch.
    pub fn rejected(&self) {
        self.rejections.inc();
    }

    /// Notes the confirmation of a batch that had been sent again.
    pub fn outcome_found(&self, committed_before: bool) {
        let outcome = if committed_before {
            "committed"
        } else {
            "repeated"
        };
        self.unknown_outcomes.with_label_values(&[outcome]).inc();
    }

    /// Everything in the text format of Prometheus.
    pub(crate) fn render(&self, now: &Gauges) -> Result<String, Error> {
        self.queue.set(now.queue as i64);
        self.queue_limit.set(now.queue_limit as i64);
        self.database_ready.set(now.database_ready.into());
        let (open, idle) = (i64::from(now.pool_open), now.pool_idle as i64);
        self.pool.with_label_values(&["idle"]).set(idle);
        // The two were read one after the other: a connection may have come back in between.
        self.pool
            .with_label_values(&["used"])
            .set((open - idle).max(0));
        self.pool_limit.set(now.pool_limit.into());
        let usage = now.notification_queue.unwrap_or(f64::NAN);
        self.notification_queue.set(usage);
        self.live_streams.set(now.live_streams as i64);
        self.live_streams_limit.set(now.live_streams_limit as i64);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
