//! `/api/openapi.json` says what the program does: schemathesis asks the real binary for all that it says, and for what it does not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rocket::serde::json::{self, Value};

use crate::support::{self, App, binary, wait};

const VERSION: &str = "4.32.5";

/// How long it may take to install, where an index answers at all.
const INSTALLS_WITHIN: Duration = Duration::from_secs(300);

/// How long it may take to ask; alone it takes some 15 s.
const ASKS_WITHIN: Duration = Duration::from_secs(300);

#[test]
fn it_is_true() {
    let schemathesis = match installed() {
        Ok(program) => program,
        Err(why) => return skip(&why),
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
        ASKS_WITHIN,
        Command::new(schemathesis)
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
        panic!("it is not:\n{said}");
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
    // Else it asked for nothing that is there.
    for page in ["/", "readme", "blog/first-post"] {
        assert!(acknowledged.contains_key(page), "{acknowledged:?}");
    }
    assert_eq!(wait(support::counts(&url)), acknowledged);
    assert!(app.is_running());
    let log = app.log().join("\n") + &app.stderr();
    assert!(!log.contains("panicked"), "{log}");
}

/// Says so where nobody can miss it, past what `cargo test` keeps to itself.
fn skip(why: &str) {
    let said = format!(
        "\nSKIPPED: /api/openapi.json was not compared with what the program does, for schemathesis {VERSION} cannot be installed:\n\
         {why}\nCure: install Python 3.10 or newer with venv (apt-get install python3-venv), and let pip reach an index.\n\n"
    );
    assert!(std::env::var_os("CI").is_none(), "{said}");
    let _ = std::io::stderr().write_all(said.as_bytes());
}

/// The program, in an environment of its own below `target`; the error says why not.
fn installed() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = folder.join(format!("schemathesis-{VERSION}"));
    let program = home.join("bin/schemathesis");
    // Two runs of the tests may come here at once. Released when it is dropped.
    let lock = File::create(folder.join(format!("schemathesis-{VERSION}.lock"))).unwrap();
    lock.lock().unwrap();
    // pip writes it after all that it needs; and Python may have been replaced since.
    let scratch = tempfile::tempdir().unwrap();
    let works = run_in(
        scratch.path(),
        INSTALLS_WITHIN,
        Command::new(&program).arg("--version"),
    );
    if works.is_ok_and(|said| said.contains(VERSION)) {
        return Ok(program);
    }
    run_in(
        scratch.path(),
        INSTALLS_WITHIN,
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&home),
    )?;
    run_in(
        scratch.path(),
        INSTALLS_WITHIN,
        Command::new(home.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--retries", "1"])
            .args(["--disable-pip-version-check", "--no-input"])
            .arg(format!("schemathesis=={VERSION}")),
    )?;
    Ok(program)
}

/// Runs `command` in `folder` and returns what it said; the error says more.
fn run_in(folder: &Path, within: Duration, command: &mut Command) -> Result<String, String> {
    // Into a file, which is never full as a pipe would be.
    let path = folder.join("said");
    let said = File::create(&path).unwrap();
    let name = PathBuf::from(command.get_program());
    let because = |problem: String| format!("{}: {problem}", name.display());
    let mut child = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .map_err(|problem| because(problem.to_string()))?;
    let begun = Instant::now();
    let problem = loop {
        match child.try_wait().unwrap() {
            Some(status) if status.success() => return Ok(read(&path)),
            Some(status) => break status.to_string(),
            None if begun.elapsed() > within => {
                child.kill().unwrap();
                child.wait().unwrap();
                break format!("not done after {within:?}");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    Err(because(format!("{problem}\n{}", read(&path).trim())))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}
