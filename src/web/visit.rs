//! A request for something that counts, and whether it counts.

mod bots;
mod limit;

use std::sync::Arc;

use rocket::fairing::AdHoc;
use rocket::http::Status;
use rocket::request::{FromRequest, Outcome, Request};
use rocket::tokio::task::spawn_blocking;

use self::bots::{is_bot, is_image_proxy};
use self::limit::Limiter;
use super::error::Error;
use crate::client::Client;
use crate::config::{Bots, Web};
use crate::counter::Counter;
use crate::database::Pool;
use crate::metrics::Metrics;
use crate::page::PageName;

/// Which visits count.
struct Rules {
    bots: Bots,
    limiter: Option<Limiter>,
    metrics: Arc<Metrics>,
}

/// A visit. Handlers first find out what it asks for, and then [count](Visit::count) it.
pub struct Visit<'r> {
    rules: &'r Rules,
    user_agent: &'r str,
    /// Only for the limit. Unknown without a proxy in front, and of the service `check`.
    client: Option<Client>,
    is_speculative: bool,
}

/// What a visitor is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The number of this view.
    View(i64),
    /// How many views there are, and this is none.
    Views(i64),
}

impl Count {
    /// The number without its meaning.
    pub fn number(self) -> i64 {
        match self {
            Self::View(number) | Self::Views(number) => number,
        }
    }
}

/// Why a visit does not count.
#[derive(Clone, Copy)]
enum Uncounted {
    Speculative,
    Bot,
    Limit,
}

impl Uncounted {
    /// The label in the metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::Speculative => "speculative",
            Self::Bot => "bot",
            Self::Limit => "limit",
        }
    }
}

impl Visit<'_> {
    /// Whether a browser guesses that there may be a visit: it prefetches or prerenders a page. See
    /// <https://wicg.github.io/nav-speculation/prefetch.html>.
    pub fn is_speculative(&self) -> bool {
        self.is_speculative
    }

    /// Refuses a speculative request for what can be asked for again: to visit a page that was
    /// refused so, the browser asks again, and a script asks again when it sees that its page is
    /// shown.
    ///
    /// # Errors
    /// Nobody looks at the page yet.
    pub fn refuse_speculative(&self) -> Result<(), Error> {
        match self.is_speculative {
            false => Ok(()),
            true => {
                self.rules
                    .metrics
                    .not_counted(Uncounted::Speculative.as_str());
                Err(Error::Speculative)
            }
        }
    }

    /// Counts a view of `page`, or reads its views over a connection of `pool` if this visit does
    /// not count. An image is never asked for again, so a speculative request gets it, too.
    ///
    /// # Errors
    /// There is no number, or the views cannot be read.
    pub async fn count(
        &self,
        page: PageName,
        counter: &Counter,
        pool: &Pool,
    ) -> Result<Count, Error> {
        match self.uncounted() {
            None => Ok(Count::View(counter.count(page).await?)),
            Some(reason) => {
                self.rules.metrics.not_counted(reason.as_str());
                // Boxed, so that the future of a view need not have room for it.
                let views = Box::pin(counter.views(pool, &page)).await?;
                Ok(Count::Views(views))
            }
        }
    }

    /// What [`Visit::count`] would return now, without counting. The limit is left out: to ask it
    /// is to use it up.
    ///
    /// # Errors
    /// The views cannot be read.
    pub async fn preview(
        &self,
        page: &PageName,
        counter: &Counter,
        pool: &Pool,
    ) -> Result<Count, Error> {
        let views = counter.views(pool, page).await?;
        Ok(match self.is_speculative || self.is_bot() {
            false => Count::View(views + 1),
            true => Count::Views(views),
        })
    }

    fn uncounted(&self) -> Option<Uncounted> {
        if self.is_speculative {
            Some(Uncounted::Speculative)
        } else if self.is_bot() {
            Some(Uncounted::Bot)
        } else if self.is_above_limit() {
            Some(Uncounted::Limit)
        } else {
            None
        }
    }

    fn is_bot(&self) -> bool {
        self.rules.bots == Bots::Ignore && is_bot(self.user_agent)
    }

    fn is_above_limit(&self) -> bool {
        let (Some(limiter), Some(client)) = (&self.rules.limiter, self.client) else {
            return false;
        };
        !is_image_proxy(self.user_agent) && !limiter.admits(client)
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Visit<'r> {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        let Some(rules) = request.rocket().state::<Rules>() else {
            return Outcome::Error((Status::InternalServerError, ()));
        };
        let headers = request.headers();
        let is_speculative = |value: &str| {
            ["prefetch", "prerender", "preview"]
                .iter()
                .any(|word| value.contains(word))
        };
        Outcome::Success(Self {
            rules,
            user_agent: headers.get_one("User-Agent").unwrap_or_default(),
            // Not the other end of the connection, which is the proxy.
            client: rules
                .limiter
                .as_ref()
                .and_then(|_| request.real_ip())
                .map(Client::from),
            is_speculative: ["Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"]
                .iter()
                .filter_map(|name| headers.get_one(name))
                .any(is_speculative),
        })
    }
}

/// Decides which visits count.
pub fn stage(config: Web, metrics: Arc<Metrics>) -> AdHoc {
    AdHoc::on_ignite("Visit", move |rocket| async move {
        if config.bots == Bots::Ignore
            && let Err(error) = spawn_blocking(bots::load).await
        {
            log::error!("the list of crawlers cannot be read: {error}");
        }
        rocket.manage(Rules {
            bots: config.bots,
            limiter: config.limit.map(Limiter::new),
            metrics,
        })
    })
}
