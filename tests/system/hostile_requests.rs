//! Requests that no browser sends, to the app alone: each has its answer, and only what is answered
//! as counted is counted.

use crate::common::connection::Connection;
use crate::common::hostile::{Account, cases};
use crate::support::{self, App, binary, wait};

#[test]
fn each_hostile_request_is_answered_and_counts_only_what_it_acknowledges() {
    let url = wait(support::database());
    let mut app = App::start(
        binary()
            .env("DATABASE_URL", &url)
            .env("ROCKET_PAGES", r#"["readme"]"#),
    );
    app.wait_ready();
    let mut account = Account::default();
    for case in cases(false) {
        let asked = case.name();
        let answer = Connection::to(&app.address).ask(&case.request);
        let answer = answer.unwrap_or_else(|error| panic!("no answer to {asked}: {error}"));
        assert_eq!(answer.status, case.status, "{asked}: {}", answer.body);
        account.note(&answer, &asked);
        account.visit(app.visit(), &asked);
    }
    account.add_up(&wait(support::counts(&url)));
    assert!(app.is_running(), "it ended");
    let log = app.log().join("\n") + app.stderr().as_str();
    assert!(!log.contains("panicked"), "{log}");
}
