//! Why there is no backup.

use std::time::Duration;

/// Why there is no backup. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is neither a namespace nor a sandbox of that name.
    #[error(
        "there is no namespace {word}, and no sandbox {word} in namespace {namespace}; a sandbox elsewhere is \
         NAMESPACE/{word}, or {word} -n NAMESPACE"
    )]
    NoSuchTarget {
        /// What was given.
        word: String,
        /// Where a sandbox was looked for.
        namespace: String,
    },
    /// There are both.
    #[error(
        "{word} is a namespace, and a sandbox in namespace {namespace} too: say -n {word} for the namespace, or \
         {namespace}/{word} for the sandbox"
    )]
    Ambiguous {
        /// What was given.
        word: String,
        /// Where the sandbox is.
        namespace: String,
    },
    /// There is no such sandbox.
    #[error(
        "there is no sandbox {name} in namespace {namespace}; `agenttier-backup plan -n {namespace}` shows which there are"
    )]
    NoSuchSandbox {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The sandbox has no volume yet.
    #[error("the sandbox {namespace}/{name} has no volume that could be backed up yet")]
    NoVolume {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// No snapshot can be taken.
    #[error("no snapshot can be taken of the sandbox {sandbox} ({reason}): {message}")]
    Refused {
        /// The sandbox.
        sandbox: String,
        /// The stable name of the reason.
        reason: String,
        /// What there is to say.
        message: String,
    },
    /// Velero cannot back up the namespace.
    #[error("Velero cannot back up namespace {namespace} ({reason}): {message}")]
    NotByVelero {
        /// The namespace.
        namespace: String,
        /// The stable name of the reason.
        reason: &'static str,
        /// What there is to say.
        message: String,
    },
    /// The cluster could not be looked at.
    #[error(transparent)]
    Unseen(#[from] anyhow::Error),
    /// The API server, or the way to it.
    #[error("cannot {doing}: {said}{hint}")]
    Api {
        /// What was to be done.
        doing: String,
        /// What was said.
        said: String,
        /// What to do.
        hint: String,
    },
    /// It has ended, and not well.
    #[error("{what} is {state}: {why}")]
    Ended {
        /// The object.
        what: String,
        /// Where it is.
        state: String,
        /// Why, and what to do.
        why: String,
    },
    /// It is gone.
    #[error("{what} is gone: somebody has deleted it")]
    Gone {
        /// The object.
        what: String,
    },
    /// It has not ended in time.
    #[error("{what} is not done after {} s ({state}); it goes on: {look}", after.as_secs())]
    TimedOut {
        /// The object.
        what: String,
        /// Where it is.
        state: String,
        /// So long was waited.
        after: Duration,
        /// How to look at it.
        look: String,
    },
}
