//! A node is lost: it loses its power, or its network.

use std::time::Duration;

use crate::common::eventually;
use crate::nodes::{Nodes, connect_within};
use crate::stack::Stack;
use crate::visited::VISITORS;
use crate::visitors::{Client, Http1, Visits};

/// How long a visit may take that was sent to a replica on a lost node. Most fail after less than
/// 4 s. One that the node had confirmed, and not answered, waits for Caddy's APP_TIMEOUT.
const FAILS_WITHIN: Duration = Duration::from_secs(51);

/// How long any other visit may wait while the primary stays the same. Mostly it is 3 to 4 s: Caddy
/// tries to connect for 3 s, and the network between the other nodes may pause for 2 s.
const WAITS: Duration = Duration::from_secs(10);

/// The same while another server becomes the primary. A view is refused after 45 s.
const WAITS_FOR_PRIMARY: Duration = Duration::from_secs(45);

/// How many visitors the node has that is cut off.
const CUT_OFF_VISITORS: usize = 8;

/// Cuts the power of a node while visitors come to the two others, and for a while after that. Only
/// visits fail that the node may have had, and no other waits for longer than `waits`.
fn lose_power(stack: &Stack, lost: u8, waits: Duration) {
    let mut lost_at = Duration::ZERO;
    let visits = stack.visited(&Nodes::but(lost), |visits| {
        lost_at = lose_and_wait(visits, || stack.nodes.kill(lost));
    });
    stack.nodes.restart(lost);
    others_hardly_noticed(&visits, lost_at, waits);
}

/// Loses a node when there is load, and waits until what that costs is over. Returns when.
fn lose_and_wait(visits: &Visits, lose: impl FnOnce()) -> Duration {
    eventually("load", || visits.acknowledged() > 1_000);
    let lost_at = visits.elapsed();
    lose();
    eventually("15 s of visits", || {
        visits.elapsed() > lost_at + Duration::from_secs(15)
    });
    let so_far = visits.acknowledged();
    eventually("visits are counted", || {
        visits.acknowledged() > so_far + 1_000
    });
    lost_at
}

/// Only visits failed that the lost node may have had, and no other waited for longer than `waits`.
fn others_hardly_noticed(visits: &Visits, lost_at: Duration, waits: Duration) {
    let failures = visits.failures();
    for (at, took) in &failures {
        assert!(*at + *took > lost_at, "{:?}", visits.refused());
        assert!(
            *at < lost_at + Duration::from_secs(10),
            "{:?}",
            visits.refused()
        );
        assert!(*took < FAILS_WITHIN, "{:?}", visits.refused());
    }
    // Caddy sends a visit to the replica with the fewest: no replica has much more than its share.
    let share = VISITORS / Nodes::ALL.len();
    assert!(failures.len() < 2 * share, "{:?}", visits.refused());
    assert!(visits.longest().0 < waits);
    let longest = failures.iter().map(|(_, took)| *took).max();
    println!(
        "the longest failure took {:.1?}",
        longest.unwrap_or_default()
    );
}

#[test]
#[ignore = "needs root and Docker's programs"]
fn a_node_with_a_standby_costs_only_the_visits_that_it_had() {
    let stack = Stack::get();
    let lost = stack.follower();
    println!("node {lost}, with a standby, loses its power");
    lose_power(&stack, lost, WAITS);
}

#[test]
#[ignore = "needs root and Docker's programs"]
fn the_node_that_leads_costs_no_more() {
    let stack = Stack::get();
    let lost = stack.leader().unwrap();
    if lost == stack.primary() {
        println!("the leader has the primary: another server becomes it");
        stack.switch_over();
    }
    println!("node {lost}, which leads, loses its power");
    lose_power(&stack, lost, WAITS);
}

/// A restart would not bring a database back, so Swarm ends no replica on the other nodes.
#[test]
#[ignore = "needs root and Docker's programs"]
fn the_node_with_the_primary_costs_no_more_and_the_others_wait() {
    let stack = Stack::get();
    let lost = stack.primary();
    let replicas = stack.app_tasks_beside(lost);
    println!("node {lost}, with the primary, loses its power");
    lose_power(&stack, lost, WAITS_FOR_PRIMARY);
    stack.wait_whole();
    assert_ne!(stack.primary(), lost);
    assert_eq!(stack.app_tasks_beside(lost), replicas);
}

/// The two sides cannot see each other, and each goes on. Then they meet again. The side with the
/// old primary has visitors of its own, and none of them gets a number.
#[test]
#[ignore = "needs root and Docker's programs"]
fn a_cut_off_primary_gives_no_number_and_becomes_a_standby() {
    let stack = Stack::get();
    let lost = stack.primary();
    println!("node {lost}, with the primary, loses its network");
    let open = |_| Ok(Box::new(Http1::new(connect_within(lost)?)) as Box<dyn Client>);
    let visits = stack.visited_beside(&Nodes::but(lost), |visits| {
        let others = Visits::over(CUT_OFF_VISITORS, open, |others| {
            eventually("load", || others.acknowledged() > 100);
            let mut numbers = 0;
            let lost_at = lose_and_wait(visits, || {
                stack.nodes.cut(lost);
                assert!(stack.takes_writes(lost), "it does not know yet");
                // What a standby had already may still be answered.
                let soon = others.elapsed() + Duration::from_secs(1);
                eventually("a second", || others.elapsed() > soon);
                numbers = others.acknowledged();
            });
            assert_eq!(others.acknowledged(), numbers, "none while it is cut off");
            others_hardly_noticed(visits, lost_at, WAITS_FOR_PRIMARY);
            println!("node {lost} comes back");
            stack.nodes.mend(lost);
            stack.wait_settled();
            assert!(others.acknowledged() > numbers);
        });
        assert!(others.numbers().is_disjoint(&visits.numbers()));
        others.may_count()
    });
    println!("{} visits failed in all", visits.failures().len());
    assert_ne!(stack.primary(), lost);
}

/// Patroni starts it again. Nothing fails, because visits wait.
#[test]
#[ignore = "needs root and Docker's programs"]
fn a_primary_whose_process_is_killed_fails_no_visit() {
    let stack = Stack::get();
    let primary = stack.primary();
    println!("PostgreSQL is killed on node {primary}");
    let visits = stack.visited(&Nodes::ALL, |visits| {
        eventually("load", || visits.acknowledged() > 1_000);
        stack.kill_postgres(primary);
        let so_far = visits.acknowledged();
        eventually("visits are counted again", || {
            visits.acknowledged() > so_far + 1_000
        });
    });
    assert_eq!(visits.refused(), Vec::<String>::new());
}
