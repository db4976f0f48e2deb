//! Prometheus's text format, read and checked.

use std::collections::BTreeMap;

use crate::common::header;
use crate::support::App;

/// The samples in `/metrics`: the value of each, by its name and labels as they are written.
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads `/metrics`, and checks it against the format:
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>.
    pub fn of(app: &App) -> Self {
        let answer = app.get("/metrics");
        assert_eq!(answer.status_code, 200);
        let format = header(&answer, "content-type").unwrap();
        assert_eq!(format, "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(header(&answer, "cache-control"), Some("no-store".into()));
        let text = answer.as_str().unwrap();
        assert!(text.ends_with('\n'));
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(text.ends_with('.'), "{line}");
                helped = name;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, helped, "HELP stands before TYPE");
                assert_eq!(families.insert(name, kind), None, "{name} is there once");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let of_family = ["", "_bucket", "_sum", "_count"]
                    .iter()
                    .filter_map(|suffix| name.strip_suffix(suffix))
                    .find(|family| families.contains_key(family));
                assert_eq!(of_family, Some(helped), "{line} stands below its HELP");
                check_name(name, families[helped]);
                check_labels(labels);
                let value = value.parse().unwrap();
                assert_eq!(samples.insert(series.into(), value), None, "{series}");
            }
        }
        Self(samples)
    }

    pub fn get(&self, series: &str) -> f64 {
        let value = self.0.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in {:#?}", self.0.keys()))
    }

    /// The routes that requests were counted for.
    pub fn routes(&self) -> Vec<&str> {
        let count = r#"pageviews_http_request_duration_seconds_count{route=""#;
        let mut routes: Vec<_> = self
            .0
            .keys()
            .filter_map(|series| series.strip_prefix(count)?.split('"').next())
            .collect();
        routes.dedup();
        routes
    }
}

/// Checks the name by <https://prometheus.io/docs/practices/naming/>.
fn check_name(name: &str, kind: &str) {
    let allowed = |c: char| c.is_ascii_lowercase() || c == '_';
    assert!(name.starts_with("pageviews_") && name.chars().all(allowed));
    assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
    for unit in ["_ms", "_milliseconds", "_micros"] {
        assert!(!name.contains(unit), "{name}: base units only");
    }
}

/// Checks `name="value",…}`. No value needs escapes, but routes hold commas.
fn check_labels(labels: &str) {
    let labels = labels.strip_suffix('}').unwrap();
    for label in labels
        .split_terminator("\",")
        .filter(|label| !label.is_empty())
    {
        let (name, value) = label.split_once("=\"").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{labels}");
        let value = value.trim_end_matches('"');
        assert!(!value.contains(['"', '\\']), "{labels}");
    }
}
