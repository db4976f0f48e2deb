//! The stack with a database on one node, as it starts without any setting.

use crate::common::eventually;
use crate::database::Database;
use crate::nodes::Nodes;
use crate::stack::Stack;

#[test]
#[ignore = "needs root and Docker's programs"]
fn visitors_of_all_nodes_are_counted() {
    let stack = Stack::with(Database::Postgres);
    let visits = stack.visited(&Nodes::ALL, |visits| {
        eventually("load", || visits.acknowledged() > 1_000);
    });
    assert_eq!(visits.refused(), Vec::<String>::new());
}
