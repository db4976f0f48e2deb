//! The app of the stack: its tasks, its image and its updates.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::eventually;
use crate::stack::Stack;

impl Stack {
    /// The tasks of the app on all nodes but one.
    pub fn app_tasks_beside(&self, node: u8) -> Vec<String> {
        let format = "{{.Node}} {{.ID}}";
        let mut tasks = self.list_tasks("pageviews_app", format).unwrap();
        tasks.retain(|task| !task.starts_with(&format!("node{node} ")));
        tasks
    }

    /// Makes another version of the app's image: `lines` of a Dockerfile on top of it. The next
    /// update uses it.
    pub fn change_app(&self, lines: &str) {
        let mut build = Command::new("docker")
            .args(["-H", &self.nodes.docker_host(Self::HOME)])
            .args(["build", "--quiet", "--tag", "pageviews", "-"])
            .env("DOCKER_BUILDKIT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let dockerfile = format!("FROM {}\n{lines}\n", self.app_image());
        build
            .stdin
            .take()
            .unwrap()
            .write_all(dockerfile.as_bytes())
            .unwrap();
        assert!(build.wait().unwrap().success());
    }

    /// How the last update of the app ended, when it has.
    pub fn updated(&self) -> String {
        // Right after the command there is no status yet.
        let format = "{{with .UpdateStatus}}{{.State}}{{end}}";
        let inspect = ["service", "inspect", "--format", format, "pageviews_app"];
        let mut state = String::new();
        eventually("the end of the update", || {
            state = self.nodes.docker(Self::HOME, &inspect);
            !state.is_empty() && !state.ends_with("updating") && !state.ends_with("started")
        });
        state
    }

    /// The image of the app.
    pub fn app_image(&self) -> String {
        let format = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
        let inspect = ["service", "inspect", "--format", format, "pageviews_app"];
        self.nodes.docker(Self::HOME, &inspect)
    }
}
