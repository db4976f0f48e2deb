//! The templates. All that the program renders are tried at start, so that a template that cannot
//! work stops the launch, and no visitor meets it.

use std::sync::{Arc, PoisonError, RwLock};

use rocket::fairing::Fairing;
use rocket_dyn_templates::Template;
use rocket_dyn_templates::minijinja::{Environment, Error, UndefinedBehavior};

use crate::number::thousands;

/// Renders a template with sample values.
///
/// # Errors
/// The template cannot work.
pub type Check = fn(&Environment<'static>) -> Result<(), Error>;

/// The templates as they were loaded last: in debug builds they are loaded again when they change.
#[derive(Clone, Default)]
pub struct Templates(Arc<RwLock<Environment<'static>>>);

impl Templates {
    /// The templates as they are now. Cheap.
    pub fn current(&self) -> Environment<'static> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, environment: Environment<'static>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = environment;
    }
}

/// Loads the templates into `templates`, if they pass all `checks`. All of them know whether there
/// is an `overview`.
pub fn stage(templates: Templates, checks: &'static [Check], overview: bool) -> impl Fairing {
    Template::try_custom(move |engines| {
        let environment = &mut engines.minijinja;
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("thousands", thousands);
        environment.add_global("overview", overview);
        for check in checks {
            check(environment)?;
        }
        templates.replace(environment.clone());
        Ok(())
    })
}

/// Logs why a template failed.
pub fn log_failure(error: &Error) {
    log::error!(
        "template {} failed: {error}",
        error.name().unwrap_or("of no name")
    );
}
