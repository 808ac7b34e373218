//! What happened when a volume's orders were carried out: of old failures, the planner has to know.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{Action, Reason, VolumeUid};

/// What an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ActionKind {
    /// Deleting a recovery point.
    Prune,
    /// Taking a snapshot.
    TakeSnapshot,
    /// Recording the Sandbox that uses the volume.
    Record,
    /// Noting something on a recovery point.
    Mark,
}

impl ActionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Prune, Self::TakeSnapshot, Self::Mark, Self::Record];
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Action {
    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Prune(_) => ActionKind::Prune,
            Self::TakeSnapshot(_) => ActionKind::TakeSnapshot,
            Self::Mark(_) => ActionKind::Mark,
        }
    }
}

/// Orders of one kind for one volume that failed; none has succeeded since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setback {
    /// Why the last one failed.
    pub reason: Reason,
    /// The same at length, for a person.
    pub message: String,
    /// When the first of them failed.
    pub since: Timestamp,
    /// Until then no further one is tried.
    #[serde(skip)]
    pub until: Timestamp,
}

/// Every setback, by volume and kind: a missing right to delete is no reason to take no snapshots.
///
/// They stay in here until an order of that kind succeeds: past their moment they may be tried again, but after all
/// others, and one at a time. The most exposed volumes are those that fail, and would otherwise use up the whole
/// pace with attempts.
pub type HeldBack = BTreeMap<(VolumeUid, ActionKind), Setback>;
