//! What the copying of volume data has in common, into the object store and out of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where the copying of a volume is.
///
/// The order is that of Velero's data-upload and data-download controllers (1.18): New, Accepted, Prepared, InProgress,
/// Completed. Where it is to be given up: Canceling, then Canceled, or Canceled at once.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum DataMovePhase {
    /// Velero has not begun with it.
    New,
    /// A node prepares it.
    Accepted,
    /// The volume is ready to be copied.
    Prepared,
    /// It is being copied.
    InProgress,
    /// It is being given up.
    Canceling,
    /// It was given up.
    Canceled,
    /// All of it is copied.
    Completed,
    /// It could not be copied.
    Failed,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl DataMovePhase {
    /// Whether it has ended, well or not. These are the phases that no controller leaves again.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// Whether all of the volume is copied.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Completed
    }

    /// Whether it may still come to an end that it has not come to: until it is finished. A phase that this release
    /// does not know may change.
    #[must_use]
    pub fn may_change(&self) -> bool {
        !self.is_finished()
    }
}

/// System of a node.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum NodeOs {
    /// Any.
    Auto,
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

/// Bytes so far.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DataMoveProgress {
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<i64>,
    /// Those that are copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_done: Option<i64>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
