//! The first error of a backup that failed in part.
//!
//! Its status has but the number of errors; what they were lies in the object store. Velero hands out a URL for each of
//! a backup's files ([`download`]). Only the lists of errors are asked for ([`file`]), one backup at a time and beside the
//! passes ([`FirstErrors`]): a store that does not answer keeps nothing waiting.

mod download;
mod file;
mod reader;
mod store;
mod telling;

use crate::act::Failure;

pub use reader::FirstErrors;
use reader::{Said, Wanted};
pub(super) use telling::tell_first_errors;

/// Why a backup's errors could not be read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// Velero could not be asked.
    #[error("Velero could not be asked: {0}")]
    NotAsked(#[from] Failure),
    /// It has not handed out a URL.
    #[error("Velero has handed out no URL for it")]
    NoUrl,
    /// The store did not hand it out.
    #[error("the object store could not be read: {0}")]
    Store(String),
    /// It is not what Velero writes.
    #[error("it is not as Velero writes it: {0}")]
    Malformed(String),
}

impl From<kube::Error> for Unread {
    fn from(error: kube::Error) -> Self {
        Self::NotAsked(error.into())
    }
}

impl From<crate::leader::NotLeading> for Unread {
    fn from(not_leading: crate::leader::NotLeading) -> Self {
        Self::NotAsked(not_leading.into())
    }
}
