//! `/api/openapi.json` describes what the program does. schemathesis reads the description and
//! sends the real binary requests that it allows and requests that it forbids.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rocket::serde::json::{self, Value};

use crate::common::{Supervised, or_skip};
use crate::support::{self, App, binary, wait};

/// How long schemathesis may take. Alone on a machine it takes some 15 s.
const ASKS_WITHIN: Duration = Duration::from_secs(300);

/// Where `.ci/schemathesis.sh` puts the program.
const SCHEMATHESIS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/schemathesis/bin/schemathesis"
);

#[test]
#[ignore = "needs schemathesis: .ci/schemathesis.sh"]
fn the_description_of_the_api_is_true() {
    let program = Path::new(SCHEMATHESIS);
    let found = match program.exists() {
        true => Ok(program),
        false => Err(format!(
            "there is no {SCHEMATHESIS}; run .ci/schemathesis.sh"
        )),
    };
    let Some(program) = or_skip("whether the API's description is true", found) else {
        return;
    };
    let url = wait(support::database());
    let mut app = App::start(
        binary()
            .env("DATABASE_URL", &url)
            .env("ROCKET_PAGES", r#"["readme", "blog/*"]"#),
    );
    app.wait_ready();

    let folder = tempfile::tempdir().unwrap();
    let asked = run_in(
        folder.path(),
        Command::new(program)
            .arg("--config-file")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/system/schemathesis.toml"
            ))
            .args(["run", &app.url("/api/openapi.json")])
            .args(["--checks", "all", "--no-color"])
            .args(["--report-har-path", "asked.har"])
            .env("NO_PROXY", "127.0.0.1"),
    );
    if let Err(said) = asked {
        panic!("the description differs from the program:\n{said}");
    }

    let asked: Value = json::from_str(&read(&folder.path().join("asked.har"))).unwrap();
    let mut acknowledged = BTreeMap::<_, i64>::new();
    for exchange in asked["log"]["entries"].as_array().unwrap() {
        let answer = &exchange["response"];
        if answer["status"] == 201 {
            let view: Value = json::from_str(answer["content"]["text"].as_str().unwrap()).unwrap();
            *acknowledged
                .entry(view["page"].as_str().unwrap().to_string())
                .or_default() += 1;
        }
    }
    // schemathesis found each kind of page.
    for page in ["/", "readme", "blog/first-post"] {
        assert!(acknowledged.contains_key(page), "{acknowledged:?}");
    }
    assert_eq!(wait(support::counts(&url)), acknowledged);
    assert!(app.is_running());
    let log = app.log().join("\n") + app.stderr().as_str();
    assert!(!log.contains("panicked"), "{log}");
}

/// Runs `command` in `folder`. The error holds the exit status and the output.
fn run_in(folder: &Path, command: &mut Command) -> Result<(), String> {
    // A file takes all of the output. A pipe that nobody reads fills up and blocks the writer.
    let path = folder.join("said");
    let said = File::create(&path).unwrap();
    let mut process = Supervised::spawn(
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said),
    )
    .unwrap();
    let give_up = Instant::now() + ASKS_WITHIN;
    let problem = loop {
        match process.child.try_wait().unwrap() {
            Some(status) if status.success() => return Ok(()),
            Some(status) => break status.to_string(),
            None if Instant::now() > give_up => break format!("not done after {ASKS_WITHIN:?}"),
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    Err(format!("{problem}\n{}", read(&path)))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}
