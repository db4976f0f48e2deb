//! What the log says about the counts at start.

use std::time::Duration;

use super::history;
use crate::config;
use crate::database::{self, Readiness, within};
use crate::page::AllowedPages;

/// How long the database may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Logs what an owner should know of the counts: which pages have lost their setting, so
/// that they keep their views and are not counted, and whether there are days that are to come.
pub async fn warn_of_counts(
    readiness: Readiness,
    database: config::Database,
    allowed: AllowedPages,
) {
    if readiness.until_usable().await.is_none() {
        return;
    }
    let look = async {
        let (mut connection, _) = database::connect(&database, TIMEOUT).await?;
        let unlisted = history::unlisted(&mut connection, &allowed);
        let unlisted = within(TIMEOUT, unlisted).await?;
        let future_day = within(TIMEOUT, history::future_day(&mut connection)).await?;
        Ok::<_, database::Error>((unlisted, future_day))
    };
    match look.await {
        Ok((unlisted, future_day)) => {
            if unlisted.count > 0 {
                log::warn!("{unlisted}");
            }
            if let Some(day) = future_day {
                log::warn!(
                    "the database's clock was ahead: there are views of {day}, and until then new \
                     views of these pages count for that day"
                );
            }
        }
        Err(error) => log::debug!("the counts were not looked at: {error}"),
    }
}
