//! The database of the stack: one server, or three under Patroni.

use crate::common::eventually;
use crate::nodes::Nodes;
use crate::stack::Stack;

/// Which database the stack has.
#[derive(Clone, Copy, PartialEq)]
pub enum Database {
    /// One server, on [`Stack::HOME`].
    Postgres,
    /// A server on each node.
    Patroni,
}

impl Database {
    /// The value of the setting `DATABASE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Patroni => "patroni",
        }
    }

    fn hosts(self) -> &'static str {
        match self {
            Self::Postgres => "db",
            Self::Patroni => "db1,db2,db3",
        }
    }
}

impl Stack {
    /// Removes the stack, if there is one, and starts it with another database.
    pub fn change_to(&mut self, database: Database) {
        if self.database.is_some() {
            self.nodes.docker(Self::HOME, &["stack", "rm", "pageviews"]);
            let networks = ["network", "ls", "--quiet", "--filter", "name=pageviews_"];
            for node in Nodes::ALL {
                eventually("the networks are removed", || {
                    self.nodes.docker(node, &networks).is_empty()
                });
            }
            // The nodes do not keep the data of the other kind any more.
            for node in Nodes::ALL {
                let id = self
                    .nodes
                    .docker(node, &["info", "--format", "{{.Swarm.NodeID}}"]);
                for label in ["pageviews.db", "pageviews.member"] {
                    // A node without the label is refused.
                    let _ = self
                        .nodes
                        .try_docker(Self::HOME, &["node", "update", "--label-rm", label, &id]);
                }
            }
        }
        self.database = Some(database);
        self.up();
    }

    /// How often `/` was counted, as a node says that reaches the database.
    pub fn counted(&self, node: u8) -> i64 {
        let query = "SELECT coalesce((SELECT views FROM pages WHERE page = '/'), 0)";
        let hosts = self.database.unwrap().hosts();
        let url = format!(
            "postgres://pageviews@{hosts}/pageviews\
             ?target_session_attrs=read-write&connect_timeout=3"
        );
        let psql =
            format!("PGPASSWORD=$(cat /run/secrets/pageviews) exec psql -XAtc \"{query}\" '{url}'");
        // One server is on one node only.
        let node = match self.database {
            Some(Database::Postgres) => Self::HOME,
            _ => node,
        };
        let counted = self.in_database(node, &["sh", "-c", &psql]).unwrap();
        counted.parse().unwrap()
    }

    /// The node with the primary.
    pub fn primary(&self) -> u8 {
        self.find_primary().unwrap()
    }

    fn find_primary(&self) -> Option<u8> {
        let members = self.members().unwrap();
        let leader = members.lines().find(|line| line.contains("\tLeader\t"))?;
        let name = leader.split('\t').nth(1);
        let mut nodes = Nodes::ALL.into_iter();
        nodes.find(|node| name == Some(member(*node)))
    }

    /// Lets another server be the primary.
    pub fn switch_over(&self) {
        let before = self.primary();
        self.in_database(Self::HOME, &["member", "switchover", "--force"])
            .unwrap();
        eventually("another primary", || {
            self.find_primary().is_some_and(|now| now != before)
        });
        self.wait_whole();
    }

    /// Whether PostgreSQL on a node takes itself for the primary.
    pub fn takes_writes(&self, node: u8) -> bool {
        let query = [
            "psql",
            "-U",
            "pageviews",
            "-XAtc",
            "SELECT NOT pg_is_in_recovery()",
        ];
        self.in_database(node, &query).unwrap() == "t"
    }

    /// Ends PostgreSQL on a node at once. Patroni goes on.
    pub fn kill_postgres(&self, node: u8) {
        let kill = r#"kill -KILL "$(head -n 1 /var/lib/postgresql/18/patroni/postmaster.pid)""#;
        self.in_database(node, &["sh", "-c", kill]).unwrap();
    }

    /// Whether each server does its part.
    pub fn is_database_whole(&self) -> Result<(), String> {
        if self.database != Some(Database::Patroni) {
            return Ok(());
        }
        let members = self.members()?;
        let standbys = members.matches("\tQuorum Standby\tstreaming\t");
        match standbys.count() == 2 && members.contains("\tLeader\trunning\t") {
            true => Ok(()),
            false => Err(format!("members: {members:?}")),
        }
    }

    /// The members of the database, a line each, as a node says that is up.
    fn members(&self) -> Result<String, String> {
        self.in_database(Self::HOME, &["member", "list", "--format", "tsv"])
    }

    /// Runs a program in the container of the database on a node.
    fn in_database(&self, node: u8, command: &[&str]) -> Result<String, String> {
        let find = ["ps", "--quiet", "--filter", "name=pageviews_db"];
        let database = self.nodes.try_docker(node, &find)?;
        let exec: Vec<_> = ["exec", &database]
            .into_iter()
            .chain(command.iter().copied())
            .collect();
        self.nodes.try_docker(node, &exec)
    }
}

/// The server on a node. `up.sh` numbers them from the node on which it runs.
fn member(node: u8) -> &'static str {
    match node {
        Stack::HOME => "db1",
        1 => "db2",
        _ => "db3",
    }
}
