//! The stack is updated while visitors come, also to a version that does not work.

use crate::common::eventually;
use crate::nodes::Nodes;
use crate::stack::Stack;

/// Updates the app to an image with these `lines` more in its Dockerfile, while visitors come to
/// all nodes. No visit may fail. Returns how the update ended.
fn update(stack: &Stack, lines: &str) -> String {
    stack.change_app(lines);
    let mut end = String::new();
    let visits = stack.visited(&Nodes::ALL, |visits| {
        eventually("load", || visits.acknowledged() > 1_000);
        stack.up();
        end = stack.updated();
        let so_far = visits.acknowledged();
        eventually("visits after it", || visits.acknowledged() > so_far + 1_000);
    });
    assert_eq!(visits.refused(), Vec::<String>::new());
    end
}

#[test]
#[ignore = "needs root and Docker's programs"]
fn an_update_fails_no_visit() {
    let stack = Stack::get();
    let before = stack.app_image();
    let end = update(&stack, "LABEL version=next");
    assert_eq!(end, "completed");
    assert_ne!(stack.app_image(), before);
}

#[test]
#[ignore = "needs root and Docker's programs"]
fn a_version_that_never_is_ready_is_rolled_back_and_fails_no_visit() {
    let stack = Stack::get();
    let before = stack.app_image();
    // It runs, and finds no tables.
    let end = update(&stack, "ENV PGOPTIONS='-c search_path=nowhere'");
    assert_eq!(end, "rollback_completed");
    assert_eq!(stack.app_image(), before);
}
