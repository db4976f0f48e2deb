//! The web: routes, templates, and errors as responses.
//!
//! Each feature is a file with a `stage()`. A new address takes a route in such a file. Nothing
//! else has to know of it.

mod api;
mod badge;
mod chart;
mod cors;
mod embed;
mod error;
mod fairing;
pub mod home;
mod live;
mod methods;
pub mod operations;
mod pages;
mod path;
mod picture;
mod robots;
mod templates;
pub mod visit;

use std::sync::Arc;

use rocket::catchers;
use rocket::fairing::AdHoc;
use rocket::shield::Shield;

use self::fairing::ResponseFairing;
use self::templates::{Check, Templates};
use crate::config;
use crate::metrics::Metrics;

/// Every template that is rendered, and how it is tried at start.
const CHECKS: &[Check] = &[home::cached_page::check, pages::check, error::check];

/// Serves everything. Needs the pool and the counter managed.
pub fn stage(config: config::Web, metrics: Arc<Metrics>) -> AdHoc {
    AdHoc::on_ignite("Web", move |rocket| async move {
        let templates = Templates::default();
        rocket
            .manage(metrics.clone())
            .attach(templates::stage(templates.clone(), CHECKS, config.overview))
            .attach(visit::stage(config, metrics.clone()))
            .attach(home::stage(templates.clone()))
            .attach(pages::stage(templates, config.overview))
            .attach(live::stage())
            .attach(badge::stage())
            .attach(api::stage())
            .attach(embed::stage())
            .attach(operations::stage())
            .attach(robots::stage())
            .register("/", catchers![methods::no_route, error::any_status])
            // Caddy sets these headers on every response, also on its own. Once is enough.
            .attach(Shield::new())
            .attach(ResponseFairing(metrics))
    })
}
