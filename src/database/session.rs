//! What the server is told with the first packet of a connection.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// How long a statement waits for a lock, such as that of a replica which commits.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may take until it can be used.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Options for a connection whose server gives up what hangs: a statement, a lock, an idle
/// transaction, and a client that has vanished without a word. The settings go with the first
/// packet, so the connection never runs without them.
pub(super) fn session(options: &PgConnectOptions, statement_timeout: Duration) -> PgConnectOptions {
    let millis = |limit: Duration| limit.as_millis().to_string();
    let options = options.clone().options([
        ("statement_timeout", millis(statement_timeout)),
        ("lock_timeout", millis(LOCK_TIMEOUT)),
        ("idle_in_transaction_session_timeout", "10s".into()),
        // The server asks a silent client after 5 s and then every 2 s, three times in all.
        ("tcp_keepalives_idle", "5".into()),
        ("tcp_keepalives_interval", "2".into()),
        ("tcp_keepalives_count", "3".into()),
    ]);
    match statement_timeout.is_zero() {
        // A statement without a limit is an export, which takes as long as its reader does.
        true => options,
        false => options.options([("tcp_user_timeout", "10s")]),
    }
}
