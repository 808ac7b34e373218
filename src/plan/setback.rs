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

    /// Name of the recovery point that it is about, one that is there.
    #[must_use]
    pub fn point(&self) -> Option<&str> {
        match self {
            Self::Prune(prune) => Some(&prune.name),
            Self::Mark(mark) => Some(&mark.name),
            Self::TakeSnapshot(_) => None,
        }
    }
}

/// Orders of one kind for one volume that failed.
///
/// Each failure holds back the whole kind, as most causes concern all of it: a right, a quota, the API server. Where an
/// order for another recovery point succeeds, the cause lies with those that failed, and they alone are held back: one
/// point that a webhook keeps must not keep all others of its volume.
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
    /// The recovery points whose order failed, each with when it last did. Empty for orders that are about none yet,
    /// and where the failures are known from a report.
    #[serde(skip)]
    pub failed: BTreeMap<String, Timestamp>,
    /// An order of the kind has succeeded since, for a recovery point that is not in `failed`.
    #[serde(skip)]
    pub others_succeed: bool,
}

impl Setback {
    /// One that holds back the whole kind.
    #[must_use]
    pub fn new(reason: Reason, message: String, since: Timestamp, until: Timestamp) -> Self {
        Self { reason, message, since, until, failed: BTreeMap::new(), others_succeed: false }
    }

    /// Whether it concerns `action`, an order of its volume and kind.
    #[must_use]
    fn concerns(&self, action: &Action) -> bool {
        !self.others_succeed || action.point().is_none_or(|point| self.failed.contains_key(point))
    }

    /// Whether it holds back anything of what is wanted of its volume. What is to be taken or recorded will be wanted
    /// again; a recovery point that somebody else has deleted will not.
    pub(crate) fn matters(&self, kind: ActionKind, wants: &[Action]) -> bool {
        match kind {
            ActionKind::Prune | ActionKind::Mark => {
                wants.iter().any(|action| action.kind() == kind && self.concerns(action))
            }
            ActionKind::TakeSnapshot | ActionKind::Record => true,
        }
    }
}

/// What holds back `action`.
#[must_use]
pub(crate) fn setback_of<'h>(held: &'h HeldBack, action: &Action) -> Option<&'h Setback> {
    held.get(&(action.volume().uid.clone(), action.kind())).filter(|setback| setback.concerns(action))
}

/// Every setback, by volume and kind: a missing right to delete is no reason to take no snapshots.
///
/// They stay in here until an order of that kind succeeds: past their moment they may be tried again, but after all
/// others, and one at a time. The most exposed volumes are those that fail, and would otherwise use up the whole
/// pace with attempts.
pub type HeldBack = BTreeMap<(VolumeUid, ActionKind), Setback>;
