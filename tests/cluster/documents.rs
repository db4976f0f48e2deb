//! The commands of docs/operating.md and docs/moving.md, as they are written there.

use std::process::Command;

use crate::compose::Cluster;
use crate::docker::succeeded;

const OPERATING: &str = include_str!("../../docs/operating.md");

const MOVING: &str = include_str!("../../docs/moving.md");

/// The blocks of commands below the heading `heading`, up to the next heading.
pub fn commands<const N: usize>(heading: &str) -> [String; N] {
    let start = format!("\n{heading}\n");
    let documents = [OPERATING, MOVING].into_iter();
    let (_, section) = documents
        .filter_map(|text| text.split_once(&start))
        .next()
        .unwrap();
    let (section, _) = section.split_once("\n#").unwrap();
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        // Three more spaces in a list.
        let command = line
            .strip_prefix("       ")
            .or_else(|| line.strip_prefix("    "));
        match (command, blocks.last_mut()) {
            (Some(command), Some(block)) => block.extend([command, "\n"]),
            _ => blocks.push(String::new()),
        }
    }
    // A block without Compose is a file's contents.
    blocks.retain(|block| block.contains("docker-compose"));
    let found = blocks.len();
    blocks
        .try_into()
        .unwrap_or_else(|_| panic!("{heading} has {found} blocks of commands"))
}

impl Cluster {
    /// Runs `commands` in the folder of this cluster. They must succeed. Returns their output.
    pub fn run_as_written(&self, commands: &str) -> String {
        let compose = self.command(&self.folder);
        let program = [compose.get_program()]
            .into_iter()
            .chain(compose.get_args());
        let program: Vec<_> = program.map(|part| part.to_str().unwrap()).collect();
        let (name, arguments) = program.split_first().unwrap();
        // With the project of this test, and with the program that the variable COMPOSE names.
        let script = format!(
            "docker-compose() {{ command {name} {} \"$@\"; }}\n{commands}",
            arguments.join(" ")
        );
        let set = compose
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", &script])
            .envs(set)
            .current_dir(&self.folder);
        succeeded(shell.output().unwrap(), &[commands])
    }
}
