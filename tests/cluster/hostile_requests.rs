//! Requests that no browser sends, through Caddy: each has its answer, only what is answered as
//! counted is counted, and other visitors notice nothing.

use std::time::{Duration, Instant};

use crate::common::connection::Connection;
use crate::common::hostile::{Account, cases};
use crate::compose::Cluster;

/// How long an answer may take: Caddy waits 5 s for the rest of a request.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the visit after it may take. It would take 2 s if the request had made the replica
/// rest: see `fail_duration` in the Caddyfile.
const VISIT: Duration = Duration::from_millis(1_500);

#[test]
#[ignore = "needs Docker"]
fn each_hostile_request_is_answered_and_disturbs_no_visitor() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["readme"]"#)]);
    let mut account = Account::default();
    let all = cases(true);
    // The app refuses too many headers perhaps while Caddy still writes them: a race, so often.
    let races = all
        .iter()
        .filter(|case| case.status == 431)
        .cycle()
        .take(90);
    for case in all.iter().chain(races) {
        let asked = case.name();
        let begun = Instant::now();
        let answer = Connection::to(&cluster.address()).ask(&case.request);
        let took = begun.elapsed();
        let answer = answer.unwrap_or_else(|error| panic!("no answer to {asked}: {error}"));
        assert_eq!(answer.status, case.status, "{asked}: {}", answer.body);
        assert!(took < ANSWER, "{asked} took {took:?}");
        account.note(&answer, &asked);

        let begun = Instant::now();
        let number = cluster.visit();
        let took = begun.elapsed();
        assert!(took < VISIT, "the visit after {asked} took {took:?}");
        account.visit(number, &asked);
    }
    account.add_up(&cluster.counts());
    cluster.assert_unharmed();
}
