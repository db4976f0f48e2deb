//! A real browser: Chromium without a window, driven by chromedriver on a port of its own. Both end
//! with the tests.

use std::process::{Command, Stdio};

use rocket::serde::DeserializeOwned;
use rocket::serde::json::{self, Value};
use rocket::tokio::runtime::Runtime;
use tempfile::TempDir;
use thirtyfour::error::WebDriverResult;
use thirtyfour::{ChromeCapabilities, ChromiumLikeCapabilities, LoggingPrefsLogLevel, WebDriver};

use crate::common::process::Supervisor;
use crate::common::{Lines, Supervised, eventually};
use crate::quiet_network::{self, is_root, is_there};

const INSTALL: &str = "apt-get install chromium chromium-driver";

/// Removes the browser's profile. A browser that is still ending may write into the folder again,
/// so the folder has to stay away.
const REMOVE: &str = r#"while kill -0 "$2"; do sleep 0.1; done
until rm -rf "$1" && sleep 0.2 && test ! -e "$1"; do :; done"#;

/// A browser with a new profile.
pub struct Chromium {
    driver: WebDriver,
    runtime: Runtime,
    _chromedriver: Supervised,
    // Dropped after chromedriver.
    _remover: Supervisor,
}

impl Chromium {
    /// Starts a browser that shows nothing yet.
    ///
    /// # Errors
    /// A program is missing; the text says how to install it. Any other problem is a panic.
    pub fn start() -> Result<Self, String> {
        let profile = new_profile();
        let chromedriver = Supervised::spawn(
            Command::new("chromedriver")
                .arg("--port=0")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        );
        let Ok(mut chromedriver) = chromedriver else {
            return Err(format!("there is no chromedriver; {INSTALL}"));
        };
        let pid = chromedriver.child.id().to_string();
        // From here on the remover deletes it.
        let profile = profile.keep();
        let remover = Supervisor::at_end(REMOVE, &[profile.as_ref(), pid.as_ref()]);
        let log = Lines::of(chromedriver.child.stdout.take().unwrap());
        let mut port = None;
        eventually("chromedriver listens", || {
            port = log.so_far().iter().find_map(|line| listens_on(line));
            port.is_some()
        });
        let port = port.unwrap();
        let capabilities = capabilities(&profile.display().to_string()).unwrap();
        let runtime = Runtime::new().unwrap();
        let session = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities);
        match runtime.block_on(session) {
            Ok(driver) => Ok(Self {
                driver,
                runtime,
                _chromedriver: chromedriver,
                _remover: remover,
            }),
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("cannot find Chrome binary"), "{said}");
                Err(format!("there is no Chromium; {INSTALL}"))
            }
        }
    }

    /// Visits `url`, and waits until it is loaded.
    pub fn go(&self, url: &str) {
        self.runtime.block_on(self.driver.goto(url)).unwrap();
    }

    pub fn reload(&self) {
        self.runtime.block_on(self.driver.refresh()).unwrap();
    }

    /// Runs `script` in the page, without the page's content policy. Returns the script's result,
    /// or the result of its promise.
    pub fn run<T: DeserializeOwned>(&self, script: &str) -> T {
        let returned = self
            .runtime
            .block_on(self.driver.execute(script, Vec::new()));
        returned.unwrap().convert().unwrap()
    }

    /// Runs a command of the DevTools protocol:
    /// <https://chromedevtools.github.io/devtools-protocol/>.
    pub fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.runtime
            .block_on(self.driver.cdp().send_raw(method, parameters))
            .unwrap()
    }

    /// The warnings and errors on the console since the last call.
    pub fn console(&self) -> Vec<String> {
        let entries = self.runtime.block_on(self.driver.browser_log()).unwrap();
        let loud = entries
            .into_iter()
            .filter(|entry| ["WARNING", "SEVERE"].contains(&entry.level.as_str()));
        loud.map(|entry| entry.message).collect()
    }

    /// The events of the protocol's domain `Network` since the last call.
    pub fn network(&self) -> Vec<Value> {
        let entries = self.runtime.block_on(self.driver.get_log("performance"));
        let events = entries.unwrap().into_iter().map(|entry| {
            let mut entry: Value = json::from_str(&entry.message).unwrap();
            entry["message"].take()
        });
        events
            .filter(|event| {
                event["method"]
                    .as_str()
                    .is_some_and(|method| method.starts_with("Network."))
            })
            .collect()
    }

    /// Saves what the window shows in target/tmp, for people.
    pub fn screenshot(&self, name: &str) {
        let file = format!("{}/{name}.png", env!("CARGO_TARGET_TMPDIR"));
        self.runtime
            .block_on(self.driver.screenshot(file.as_ref()))
            .unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.driver.clone().quit());
    }
}

/// A browser that nobody drives, because a driver, as DevTools, turns prerendering off. The pages
/// that it shows have to report what happens.
pub struct Undriven {
    _chromium: Supervised,
    // Dropped after the browser.
    _remover: Supervisor,
}

impl Undriven {
    /// Starts a browser with a new profile, which shows `url`. It reaches only these ports.
    ///
    /// # Errors
    /// There is no Chromium; the text says how to install it.
    pub fn start(url: &str, ports: [u16; 2]) -> Result<Self, String> {
        if !is_there("chromium") {
            return Err(format!("there is no Chromium; {INSTALL}"));
        }
        let profile = new_profile();
        let mut command = Command::new("chromium");
        command
            .args(["--headless=new", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(HOSTS)
            .arg(USER_AGENT)
            .args(NO_SANDBOX.iter().filter(|_| is_root()))
            .arg(url);
        let chromium = quiet_network::start(&mut command, &ports).unwrap();
        let pid = chromium.child.id().to_string();
        let profile = profile.keep();
        Ok(Self {
            _chromium: chromium,
            _remover: Supervisor::at_end(REMOVE, &[profile.as_ref(), pid.as_ref()]),
        })
    }
}

fn new_profile() -> TempDir {
    let profile = tempfile::Builder::new()
        .prefix("pageviews-chromium-")
        .tempdir();
    profile.unwrap()
}

/// Every host is this machine.
const HOSTS: &str = "--host-resolver-rules=MAP * 127.0.0.1";

/// A person's browser. Without a window Chromium says so, and its visits do not count.
const USER_AGENT: &str = "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
                          (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

/// Chromium refuses to run as root with a sandbox.
const NO_SANDBOX: [&str; 1] = ["--no-sandbox"];

/// The port in the line that says where chromedriver listens.
fn listens_on(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

fn capabilities(profile: &str) -> WebDriverResult<ChromeCapabilities> {
    let mut capabilities = ChromeCapabilities::new();
    capabilities.add_arg("--headless=new")?;
    capabilities.add_arg(&format!("--user-data-dir={profile}"))?;
    capabilities.add_arg(HOSTS)?;
    capabilities.add_arg(USER_AGENT)?;
    // With a pipe instead of a port, the browser ends with chromedriver, however that ends.
    capabilities.add_arg("--remote-debugging-pipe")?;
    // Containers have only 64 MB of it.
    capabilities.add_arg("--disable-dev-shm-usage")?;
    for option in NO_SANDBOX.iter().filter(|_| is_root()) {
        capabilities.add_arg(option)?;
    }
    for log in ["browser", "performance"] {
        capabilities.set_logging_prefs(log, LoggingPrefsLogLevel::All)?;
    }
    Ok(capabilities)
}
