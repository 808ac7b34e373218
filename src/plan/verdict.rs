//! What the planner has to say of a volume, as values that can be printed, tested and simulated.
//!
//! As JSON, keys are in camelCase, whatever has a name of its own in UpperCamelCase, and a choice is a key beside
//! what comes with it. Scripts read it: names are added, not changed.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{ActionKind, Fate, Interval, Readiness, Reason, Retention, Setback, Slot, Spent, VolumeUid};

/// Which volume is spoken of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeId {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim.
    pub uid: VolumeUid,
}

/// Everything the planner has to say of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The volume.
    pub volume: VolumeId,
    /// Name of the Sandbox that uses it, or did when its newest point was taken.
    pub sandbox: Option<String>,
    /// Name of the policy that it follows.
    pub policy: Option<String>,
    /// Its CSI driver.
    pub driver: Option<String>,
    /// Interval of the volumes that take part in snapshots; `None` for those that do not.
    pub interval: Option<Interval>,
    /// By what its points are kept, where that is decided.
    pub retention: Option<Retention>,
    /// Whether it can be restored from a recent point.
    pub protection: Protection,
    /// Every snapshot of its claim, newest first, and what becomes of it.
    pub points: Vec<Judged>,
    /// What should be done now, if pacing and caps allow.
    pub wants: Vec<Action>,
    /// Snapshots that failed since its newest Ready point.
    pub failed_snapshots: usize,
    /// What kept failing when it was last tried, and is still wanted.
    pub setbacks: BTreeMap<ActionKind, Setback>,
    /// No snapshot is due for as long as its Sandbox does not run: the newest Ready one was taken at rest.
    pub unchanged: bool,
    /// What somebody should know of it although it may be protected.
    pub notices: Vec<Notice>,
    /// When somebody confirmed, on its policy, that a mass deletion is meant.
    #[serde(skip)]
    pub deletions_confirmed: Option<Timestamp>,
    /// When this verdict changes by time alone.
    pub wake: Option<Timestamp>,
}

impl Verdict {
    /// Says how well a volume is protected, and nothing else yet.
    #[must_use]
    pub fn of(volume: VolumeId, protection: Protection) -> Self {
        Self {
            volume,
            sandbox: None,
            policy: None,
            driver: None,
            interval: None,
            retention: None,
            protection,
            points: vec![],
            wants: vec![],
            failed_snapshots: 0,
            setbacks: BTreeMap::new(),
            unchanged: false,
            notices: vec![],
            deletions_confirmed: None,
            wake: None,
        }
    }

    /// Of a volume that could not be judged: nothing is made and nothing is deleted.
    #[must_use]
    pub fn unjudged(governance: &crate::Governance, volume: &crate::Volume) -> Self {
        let id = VolumeId {
            namespace: volume.namespace.clone(),
            claim: volume.claim.clone(),
            uid: volume.uid.clone(),
        };
        Self {
            sandbox: volume.sandbox.as_ref().map(|sandbox| sandbox.name.clone()),
            policy: governance.policy_name().map(str::to_owned),
            driver: volume.driver.clone(),
            ..Self::of(id, Protection::Unprotected { reason: Reason::JudgementFailed })
        }
    }
}

/// Something to know of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What it is.
    pub reason: Reason,
    /// The same at length, for a person.
    pub message: String,
}

/// A snapshot and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
    /// How far it has come.
    pub readiness: Readiness,
    /// What its storage says is wrong with it.
    pub error: Option<String>,
    /// Whether it was made by us of this very volume.
    pub ours: bool,
    /// The policy that it was taken under, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// It is being deleted.
    pub terminating: bool,
    /// Its deletion takes longer than readyTimeout.
    pub stuck: bool,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// Whether a volume can be restored from a recent recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state")]
pub enum Protection {
    /// Its newest Ready point is younger than interval + readyTimeout.
    Protected {
        /// The moment that point is from.
        newest: Timestamp,
    },
    /// It is new: its first point is due or on its way.
    Awaited {
        /// By then it should be protected.
        by: Timestamp,
        /// Why it is not yet.
        reason: Reason,
    },
    /// Its newest Ready point is older than interval + readyTimeout, or missing.
    Overdue {
        /// The moment that point is from, if there is one.
        newest: Option<Timestamp>,
        /// Why.
        reason: Reason,
    },
    /// No snapshots are taken of it.
    Unprotected {
        /// Why.
        reason: Reason,
    },
    /// It is no workspace any more: what it held can still be restored, and there is nothing left to protect.
    Retired {
        /// The moment that its newest Ready point is from, if there is one.
        newest: Option<Timestamp>,
        /// Why.
        reason: Reason,
    },
    /// Whoever asks cannot see what would tell.
    Unknown {
        /// The moment that its newest Ready point is from, if there is one.
        newest: Option<Timestamp>,
        /// What cannot be seen.
        reason: Reason,
    },
}

impl Protection {
    /// Its name, which is stable.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Self::Protected { .. } => "Protected",
            Self::Awaited { .. } => "Awaited",
            Self::Overdue { .. } => "Overdue",
            Self::Unprotected { .. } => "Unprotected",
            Self::Retired { .. } => "Retired",
            Self::Unknown { .. } => "Unknown",
        }
    }

    /// Why the volume is not protected; `None` for one that is.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Protected { .. } => None,
            Self::Awaited { reason, .. }
            | Self::Overdue { reason, .. }
            | Self::Unprotected { reason }
            | Self::Retired { reason, .. }
            | Self::Unknown { reason, .. } => Some(*reason),
        }
    }

    /// The moment that the newest Ready point is from, where there is one and it matters.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        match self {
            Self::Protected { newest } => Some(*newest),
            Self::Overdue { newest, .. } | Self::Retired { newest, .. } | Self::Unknown { newest, .. } => {
                *newest
            }
            Self::Awaited { .. } | Self::Unprotected { .. } => None,
        }
    }

    /// Says why a volume waits for its turn, where that is all that is known.
    pub(crate) fn name_wait(&mut self, why: Reason) {
        if let Self::Awaited { reason, .. } | Self::Overdue { reason, .. } = self
            && *reason == Reason::WaitingForTurn
        {
            *reason = why;
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        match self.reason() {
            Some(reason) => write!(f, "{state}: {reason}"),
            None => f.write_str(state),
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action")]
#[expect(clippy::large_enum_variant, reason = "few are alive at a time, and most are the large one")]
pub enum Action {
    /// Delete a recovery point.
    Prune(Prune),
    /// Take a snapshot.
    TakeSnapshot(TakeSnapshot),
    /// Note something on a recovery point.
    Mark(Mark),
}

/// An order to delete a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prune {
    /// The volume that it holds.
    pub volume: VolumeId,
    /// Name of the VolumeSnapshot.
    pub name: String,
    /// Its UID: a precondition of the delete.
    pub uid: String,
    /// Its resourceVersion as planned with: a precondition of the delete.
    pub version: String,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
    /// Why it is of no more use.
    pub reason: Spent,
    /// It goes sooner than was promised when it was taken: the retention that it carries would keep it.
    pub early: bool,
    /// What makes this safe; it is read live before the delete.
    #[serde(flatten)]
    pub safety: Safety,
}

/// What makes a delete safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Safety {
    /// A newer point of the same volume.
    Keeper(Keeper),
    /// The volume and its Sandbox are gone, and have been for as long as anything of them is kept.
    Gone(FormerUser),
    /// It is not ready, and nothing can be restored from it.
    Unready,
}

/// The Sandbox that used a volume that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerUser {
    /// Its name, where it is known.
    pub sandbox: Option<String>,
    /// Its UID, where it is known.
    pub sandbox_uid: Option<String>,
}

/// An order to note something on a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The volume that it holds.
    pub volume: VolumeId,
    /// Name of the VolumeSnapshot.
    pub name: String,
    /// Its UID: a precondition.
    pub uid: String,
    /// Its resourceVersion as planned with: a precondition.
    pub version: String,
    /// What to note.
    pub note: Note,
}

/// What is noted on a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Note {
    /// From now on its Sandbox is gone. Before it is written, that is read live.
    SandboxGone(FormerUser),
    /// It gives up the label by which AgentTier's sweep would delete it.
    HideFromAgentTier,
    /// It was taken at rest, and the volume may have been written to since.
    NoLongerAtRest,
    /// From now on another retention is in force, and no newer point will tell.
    RetentionChanged {
        /// What the point says of earlier changes.
        before: crate::Amendments,
        /// The retention in force.
        retention: Retention,
    },
}

/// The recovery point that makes a delete safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keeper {
    /// Name of the VolumeSnapshot.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// An order to take a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakeSnapshot {
    /// The volume to snapshot.
    pub volume: VolumeId,
    /// Name of the VolumeSnapshot to make.
    pub name: String,
    /// The slot that it is for.
    pub slot: Slot,
    /// VolumeSnapshotClass to name; `None` leaves the choice to the snapshot controller.
    pub class: Option<String>,
    /// The Sandbox that uses the volume.
    pub sandbox: Option<crate::SandboxRef>,
    /// Name of the policy that is in force; the snapshot carries it.
    pub policy: String,
    /// The retention that is in force; the snapshot carries it.
    pub retention: Retention,
    /// If neither a pod nor an attachment is on the volume, the snapshot is one at rest: of a Sandbox that is Stopped
    /// and was last active at that time.
    pub at_rest_since: Option<Timestamp>,
    /// The Sandbox was switched to another volume; this is what it left behind.
    pub after_switch: bool,
    /// It does not carry the label by which AgentTier's sweep would delete it.
    pub hidden_from_agenttier: bool,
    /// Since when work on the volume is not in any Ready point.
    pub exposed_since: Timestamp,
}

impl Action {
    /// The volume that it is about.
    #[must_use]
    pub fn volume(&self) -> &VolumeId {
        match self {
            Self::Prune(prune) => &prune.volume,
            Self::TakeSnapshot(take) => &take.volume,
            Self::Mark(mark) => &mark.volume,
        }
    }

    /// Name of the VolumeSnapshot that it is about.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        match self {
            Self::Prune(prune) => &prune.name,
            Self::TakeSnapshot(take) => &take.name,
            Self::Mark(mark) => &mark.name,
        }
    }
}
