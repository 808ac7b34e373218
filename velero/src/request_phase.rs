//! Whether a request to the server is answered.

use serde::{Deserialize, Serialize};

/// Whether a request is answered.
///
/// An answered one stays so until the server deletes it (Velero's download-request and server-status-request
/// controllers).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum RequestPhase {
    /// It is not.
    New,
    /// It is.
    Processed,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl RequestPhase {
    /// Whether it is answered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        *self == Self::Processed
    }

    /// Whether it is answered: requests that cannot be answered stay as they are.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Processed
    }

    /// Whether an answer may still come.
    #[must_use]
    pub fn may_change(&self) -> bool {
        !self.is_finished()
    }
}
