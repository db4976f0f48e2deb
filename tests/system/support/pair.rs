//! Two servers of PostgreSQL, one of which can take the place of the other.

use std::path::Path;

use private_postgres::PrivatePostgres;
use sqlx::AssertSqlSafe;

use super::{App, wait};
use crate::common::eventually;
use crate::support;

/// A primary, and a standby without which it confirms no commit.
pub struct Pair {
    pub primary: PrivatePostgres,
    pub standby: PrivatePostgres,
}

impl Pair {
    pub fn start() -> Self {
        let primary = PrivatePostgres::ephemeral().unwrap();
        let standby = primary.standby().unwrap();
        // After the copy: the standby, once promoted, has no standby to wait for.
        wait(execute(
            &primary,
            "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()",
        ));
        let pair = Self { primary, standby };
        eventually("the standby is synchronous", || {
            let state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            wait(async {
                let state = sqlx::query_scalar::<_, i64>(state);
                let url = pair.primary.url("pageviews");
                state.fetch_one(&mut support::connect(&url).await).await
            })
            .unwrap()
                == 1
        });
        pair
    }

    /// The URL with the primary first, and the standby second.
    pub fn url(&self) -> String {
        let [primary, standby] = [&self.primary, &self.standby].map(|it| host(it.socket()));
        format!(
            "postgres://pageviews@{primary},{standby}/pageviews?target_session_attrs=read-write"
        )
    }

    pub fn app(&self) -> App {
        App::patient(self.url())
    }

    pub fn promote(&self) {
        wait(execute(&self.standby, "SELECT pg_promote()"));
    }
}

/// A folder of a Unix socket, as a URL names it as a host.
pub fn host(socket: &Path) -> String {
    socket.to_str().unwrap().replace('/', "%2F")
}

pub async fn execute(server: &PrivatePostgres, statements: &str) {
    let statements = statements.split("; ").map(String::from);
    let mut connection = support::connect(&server.url("pageviews")).await;
    for statement in statements {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        statement.execute(&mut connection).await.unwrap();
    }
}
