//! Why a view has no number, and why past views cannot be read.

use crate::database::NotReady;

/// Why a view has no number. As text, one word, which is also the label in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// Too many views wait already. This one is not counted.
    #[error("busy")]
    Busy,
    /// The page is new, and there are as many pages as there may be. The view is not counted.
    #[error("page_limit")]
    PageLimit,
    /// The database cannot be used. The view is not counted.
    #[error("not_ready")]
    NotReady(#[from] NotReady),
    /// The database did not confirm in time. The view may be counted.
    #[error("late")]
    Late,
    /// The program ends. The view may be counted if the database was lost as well.
    #[error("stopping")]
    Stopping,
}

/// Why past views cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The database cannot be used.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The database counts, but does not answer this: too many may ask at once.
    #[error("busy")]
    Busy,
}
