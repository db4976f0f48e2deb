//! A connection that hears notifications.

use rocket::tokio::runtime;
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{Acquire, PgConnection};

/// A connection that hears the notifications on one channel. It is closed when this is dropped.
pub struct Listener(Option<PgListener>);

impl Listener {
    /// Connects, and listens on `channel`.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub(super) async fn connect(
        options: PgConnectOptions,
        channel: &str,
    ) -> Result<Self, sqlx::Error> {
        // sqlx takes a listener's connection from a pool, so it gets a pool of its own.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options);
        // From here on it is closed like any other, even if the next statement is never answered.
        let mut this = Self(Some(PgListener::connect_with(&pool).await?));
        let listener = this.listener()?;
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok(this)
    }

    /// The connection, for statements.
    ///
    /// # Errors
    /// It was lost.
    pub async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.listener()?.acquire().await
    }

    /// The next notification.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn notification(&mut self) -> Result<PgNotification, sqlx::Error> {
        let notification = self.listener()?.try_recv().await?;
        notification.ok_or(sqlx::Error::WorkerCrashed)
    }

    fn listener(&mut self) -> Result<&mut PgListener, sqlx::Error> {
        self.0.as_mut().ok_or(sqlx::Error::WorkerCrashed)
    }
}

impl Drop for Listener {
    /// sqlx ends a listener in a task that waits for the server's answer without a bound, so behind
    /// a silent network it would keep the connection. A runtime that never runs drops the task,
    /// and with it the connection, at once.
    fn drop(&mut self) {
        let listener = self.0.take();
        if let Ok(idle) = runtime::Builder::new_current_thread().build() {
            let entered = idle.enter();
            drop(listener);
            drop(entered);
            idle.shutdown_background();
        }
    }
}
