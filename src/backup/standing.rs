//! How far a backup has come.

/// Where a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// On its way.
    UnderWay(String),
    /// Done.
    Good(String),
    /// It has ended, and not well.
    Bad {
        /// Where it is.
        state: String,
        /// Why, and what to do.
        why: String,
    },
    /// There is no such object.
    Gone,
}
