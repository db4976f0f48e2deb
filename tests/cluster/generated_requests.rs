//! Ten thousand random requests through Caddy. The counts at the end are those that the answers
//! acknowledged.

use crate::common::generated::{self, Target};
use crate::compose::Cluster;

#[test]
#[ignore = "needs Docker"]
fn each_request_has_an_answer_and_leaves_no_trace_but_its_count() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["readme", "blog/*"]"#)]);
    let acknowledged = generated::ask(&Target {
        address: &cluster.address(),
        headers: &["referrer-policy"],
        shows_errors: true,
    });
    generated::add_up(&acknowledged, &cluster.counts());
    cluster.assert_unharmed();
}
