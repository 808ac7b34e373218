//! Why an order could not be carried out.

use agenttier_backup_plan::LARGEST_RECORD;

use crate::api_error::sentence;
use crate::leader::NotLeading;

/// Why an order could not be carried out. The names are stable: they are shown in Events and logs.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The recovery point that was to make a delete safe is not there, not ready or not ours.
    #[error("{keeper} would be the newest recovery point, but it is {state}")]
    KeeperUnfit {
        /// Name of that VolumeSnapshot.
        keeper: String,
        /// What is wrong with it.
        state: &'static str,
    },
    /// What was thought to be gone is there.
    #[error("{0} is still there")]
    StillThere(String),
    /// A VolumeSnapshot of that name exists, and it is not this recovery point.
    #[error("a VolumeSnapshot of that name exists and is not this recovery point")]
    NameTaken,
    /// The object changed since it was planned with; the next pass looks again.
    #[error("it changed in the meantime")]
    Changed,
    /// This replica does not lead any more; the one that does will do it.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// A quota of the namespace is used up.
    #[error("a quota of the namespace is used up: {0}")]
    QuotaExceeded(String),
    /// A right is missing.
    #[error("a right is missing: {0}")]
    Forbidden(String),
    /// The namespace is being deleted.
    #[error("the namespace is being deleted: {0}")]
    NamespaceTerminating(String),
    /// What the Sandbox is does not fit into a record.
    #[error(
        "the sandbox's spec, labels and annotations are {size} bytes as JSON, and a record holds {LARGEST_RECORD}: \
         snapshots are taken, but once the sandbox is deleted its spec is gone"
    )]
    RecordTooLarge {
        /// So many bytes.
        size: usize,
    },
    /// The API server refused the object.
    #[error("the API server refuses: {0}")]
    Refused(String),
    /// The API server did not answer in time; the write may have been carried out.
    #[error("no answer in time")]
    NoAnswer,
    /// The API server could not be reached or could not answer.
    #[error("{0}")]
    Unavailable(String),
}

impl Failure {
    /// The failure's stable name, as an Event's reason has it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::KeeperUnfit { .. } => "KeeperUnfit",
            Self::StillThere(_) => "StillThere",
            Self::NameTaken => "NameTaken",
            Self::Changed => "Changed",
            Self::NotLeading(_) => "NotLeading",
            Self::QuotaExceeded(_) => "QuotaExceeded",
            Self::Forbidden(_) => "Forbidden",
            Self::NamespaceTerminating(_) => "NamespaceTerminating",
            Self::RecordTooLarge { .. } => "RecordTooLarge",
            Self::Refused(_) => "Refused",
            Self::NoAnswer => "NoAnswer",
            Self::Unavailable(_) => "Unavailable",
        }
    }

    /// It only says that the plan was made from an older state: the next pass sees the newer one.
    #[must_use]
    pub fn is_stale_plan(&self) -> bool {
        matches!(self, Self::Changed | Self::NameTaken | Self::StillThere(_))
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else { return Self::Unavailable(sentence(&error)) };
        let message = status.message.clone();
        let cause = |name: &str| {
            let details = status.details.as_ref();
            details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == name))
        };
        match status.code {
            403 if message.contains("exceeded quota") => Self::QuotaExceeded(message),
            // The quota controller has not counted a new kind yet; it passes.
            403 if message.contains("status unknown for quota") => Self::Unavailable(message),
            403 if cause("NamespaceTerminating") => Self::NamespaceTerminating(message),
            401 | 403 => Self::Forbidden(message),
            409 => Self::Changed,
            400 | 404 | 422 => Self::Refused(message),
            _ => Self::Unavailable(message),
        }
    }
}

/// Whether the object that a call asked for does not exist.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
