//! Child processes that never outlive the tests.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A shell that runs a command when this value is dropped or this process ends, even by SIGKILL:
/// the shell waits for the end of a pipe that this process holds open.
pub struct Supervisor(Child);

impl Supervisor {
    /// The shell that runs `command` at the end, with `arguments` as `$1`, `$2` and so on.
    pub fn at_end(command: &str, arguments: &[&OsStr]) -> Self {
        let shell = Command::new("sh")
            .args(["-c", &format!("read -r _ || {{ {command}\n}}"), "sh"])
            .args(arguments)
            .stdin(Stdio::piped())
            // Open copies of these would make a reader of this process's output wait.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal reaches the whole group, and this shell has work to do then.
            .process_group(0)
            .spawn()
            .unwrap();
        Self(shell)
    }

    /// Ends the shell without running its command.
    fn dismiss(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            let _ = pipe.write_all(b"\n");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A child that is killed when this value is dropped or this process ends, even by SIGKILL.
pub struct Supervised {
    pub child: Child,
    supervisor: Supervisor,
}

impl Supervised {
    /// Starts `command`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let pid = child.id().to_string();
        let supervisor = Supervisor::at_end("kill -KILL \"$1\"", &[pid.as_ref()]);
        Ok(Self { child, supervisor })
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The process id may belong to another process from now on.
        self.supervisor.dismiss();
    }
}

/// The lines that a process has written so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Reads `output` to its end in the background: a full pipe would stop the process.
    pub fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let written = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                written.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    pub fn so_far(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Sends the signal `name`, such as TERM, to one process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}
