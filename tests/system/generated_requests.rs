//! Ten thousand random requests to the real binary: see `common::generated`.

use crate::common::generated::{self, Target};
use crate::support::{self, App, binary, wait};

#[test]
fn each_request_has_an_answer_and_leaves_no_trace_but_its_count() {
    let url = wait(support::database());
    let mut app = App::start(
        binary()
            .env("DATABASE_URL", &url)
            .env("ROCKET_PAGES", r#"["readme", "blog/*"]"#)
            // Else the log has four lines for each request.
            .env("ROCKET_LOG_LEVEL", "critical"),
    );
    app.wait_ready();
    let acknowledged = generated::ask(&Target {
        address: &app.address,
        headers: &[],
        shows_errors: false,
    });
    generated::add_up(&acknowledged, &wait(support::counts(&url)));
    assert!(app.is_running(), "it ended");
    let log = app.log().join("\n") + app.stderr().as_str();
    assert!(!log.contains("panicked"), "{log}");
}
