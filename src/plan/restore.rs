//! Restoring one sandbox from one recovery point: what comes next, given what exists.
//!
//! The order is what makes it safe. The volume is made and bound *first*, under the name that AgentTier would
//! give it (`<sandbox>-workspace`): AgentTier adopts an existing claim of that name as it is. Then the Sandbox,
//! and at once its status `{phase: Stopped, podName, pvcName}`: a Sandbox with a pod name is never given an
//! empty volume of the warm pool. Only then is it started, and afterwards checked to run on the volume that
//! was made for it; one that was robbed all the same is stopped and put back. Nothing is written over Creating or
//! Running: there may be a pod by then, which the status would know nothing of.
//!
//! [`next_step`] keeps no state: it may be asked again after any interruption.

mod choice;

use std::fmt;

use serde::Serialize;

pub use choice::{Candidate, Choice, Wanted, choose};

/// What exists of a restore, as last read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// The recovery point.
    pub snapshot: Option<SnapshotSight>,
    /// The claim `<sandbox>-workspace` in the target's namespace.
    pub claim: Option<ClaimSight>,
    /// The target Sandbox.
    pub sandbox: Option<SandboxSight>,
    /// The volume binds only once a pod uses it (`volumeBindingMode: WaitForFirstConsumer`).
    pub binds_on_first_use: bool,
}

/// The recovery point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotSight {
    /// `status.readyToUse`, and nobody is deleting it.
    pub usable: bool,
}

/// The claim for the restored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // what one reads off an object, each on its own
pub struct ClaimSight {
    /// Made by this restore, from this recovery point.
    pub ours: bool,
    /// Bound to a volume.
    pub bound: bool,
    /// Its volume is gone.
    pub lost: bool,
    /// It has a deletionTimestamp.
    pub terminating: bool,
    /// The target Sandbox is among its owners.
    pub owned_by_sandbox: bool,
}

/// The target Sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // as above
pub struct SandboxSight {
    /// Made by this restore, from this recovery point.
    pub ours: bool,
    /// It has a deletionTimestamp.
    pub terminating: bool,
    /// `status.phase`; empty before AgentTier's first word.
    pub phase: String,
    /// `status.message`.
    pub message: String,
    /// AgentTier says of an Error that it will try again by itself.
    pub heals: bool,
    /// `status.podName` is set.
    pub has_pod_name: bool,
    /// `status.pvcName`.
    pub claim: Option<String>,
    /// The claim that the pod mounts which its status names, where there is one that is not being deleted.
    pub mounted: Option<String>,
    /// The pod of its own name, `<sandbox>-pod`, whether its status names it or not.
    pub own_pod: OwnPod,
    /// It was told to stop and has not yet.
    pub stopping: bool,
}

/// A pod of the target Sandbox's own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnPod {
    /// There is none on the volume, or only what is left of one that has ended.
    #[default]
    Absent,
    /// It works on the volume, or is about to.
    Up,
    /// It is being deleted: it may write for as long as it takes, and to AgentTier it is what it was.
    Leaving,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Step {
    /// Make the claim from the recovery point.
    CreateClaim,
    /// Wait until the claim is Bound.
    AwaitBound,
    /// Make the Sandbox, and unless AgentTier was quicker, [park](Self::Park) it.
    CreateSandbox,
    /// Write status `{phase: Stopped, podName, pvcName}`.
    Park,
    /// Make the Sandbox the claim's owner, so that deleting it deletes the volume.
    Adopt,
    /// Set phase Creating: AgentTier boots it, or takes up the pod that there is.
    Start,
    /// Wait until it runs.
    AwaitRunning,
    /// It runs on another volume: tell AgentTier to stop it, so that it can be put back.
    StopRobbed,
    /// It runs on its volume without having been given it, or a pod of it does, and it is to be left stopped: AgentTier was
    /// quicker. Tell it to stop it, as soon as it runs.
    StopUnasked,
    /// Wait until it has stopped, and its pod is gone.
    AwaitStopped,
    /// It runs (or was left stopped) on its own data.
    Done,
    /// It cannot go on.
    Refuse(Refusal),
}

/// Why a restore cannot go on. Names are stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Refusal {
    /// There is no such recovery point.
    NoRecoveryPoint,
    /// The recovery point is not ready to use, or it is being deleted.
    RecoveryPointNotReady,
    /// A claim of that name exists and this restore did not make it.
    VolumeExists,
    /// The restored claim is being deleted.
    VolumeLeaving,
    /// The restored claim lost its volume.
    VolumeLost,
    /// A Sandbox of that name exists and this restore did not make it.
    SandboxExists,
    /// The restored Sandbox is being deleted.
    SandboxLeaving,
    /// AgentTier put the restored Sandbox in Error.
    SandboxError(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRecoveryPoint => "there is no such recovery point",
            Self::RecoveryPointNotReady => "the recovery point is not ready to use, or it is being deleted",
            Self::VolumeExists => {
                "a volume claim for that sandbox exists already; choose another name with --as"
            }
            Self::VolumeLeaving => "the restored volume claim is being deleted",
            Self::VolumeLost => "the restored volume claim lost its volume",
            Self::SandboxExists => "a sandbox of that name exists already; choose another name with --as",
            Self::SandboxLeaving => "the restored sandbox is being deleted",
            Self::SandboxError(message) => return write!(f, "AgentTier reports an error: {message}"),
        })
    }
}

/// Whether the restored sandbox is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Boot it.
    Running,
    /// Leave it stopped; it boots on its data when it is resumed.
    Stopped,
}

/// Says what comes next for the restore into the claim `claim`.
#[must_use]
pub fn next_step(sight: &Sight, claim: &str, start: Start) -> Step {
    // Whatever is in the way is said before anything is made.
    match &sight.sandbox {
        Some(sandbox) if !sandbox.ours => return Step::Refuse(Refusal::SandboxExists),
        Some(sandbox) if sandbox.terminating => return Step::Refuse(Refusal::SandboxLeaving),
        _ => {}
    }
    let Some(volume) = sight.claim else {
        return unreadable(sight.snapshot).map_or(Step::CreateClaim, Step::Refuse);
    };
    match () {
        () if !volume.ours => return Step::Refuse(Refusal::VolumeExists),
        () if volume.terminating => return Step::Refuse(Refusal::VolumeLeaving),
        () if volume.lost => return Step::Refuse(Refusal::VolumeLost),
        () if volume.bound => {}
        // An unbound claim still has to be filled.
        () => match unreadable(sight.snapshot) {
            Some(refusal) => return Step::Refuse(refusal),
            None if !sight.binds_on_first_use => return Step::AwaitBound,
            None => {}
        },
    }
    let Some(sandbox) = &sight.sandbox else { return Step::CreateSandbox };
    let on_its_volume = sandbox.claim.as_deref() == Some(claim)
        && sandbox.mounted.as_deref().is_none_or(|mounted| mounted == claim);
    // Ownership is the last thing that a sandbox is given that is to stay stopped: if it runs without, AgentTier
    // was quicker than we; if it runs with it, somebody has resumed it since.
    let runs_unasked = start == Start::Stopped && !volume.owned_by_sandbox;
    match sandbox.phase.as_str() {
        "Error" if !sandbox.heals => Step::Refuse(Refusal::SandboxError(sandbox.message.clone())),
        "Stopped" if !(sandbox.claim.as_deref() == Some(claim) && sandbox.has_pod_name) => Step::Park,
        // AgentTier made a pod, had no chance to say so, and took one of the pool instead. It stops only what runs.
        "Stopped" if sandbox.own_pod == OwnPod::Up && start == Start::Stopped && !sandbox.stopping => {
            Step::StopUnasked
        }
        "Stopped" if sandbox.own_pod == OwnPod::Up => Step::Start,
        "Stopped" if !volume.owned_by_sandbox => Step::Adopt,
        // Stopped is said at once.
        "Stopped" if sandbox.own_pod == OwnPod::Leaving => Step::AwaitStopped,
        "Stopped" if start == Start::Stopped => Step::Done,
        "Stopped" => Step::Start,
        "Running" if sandbox.stopping => Step::AwaitStopped,
        "Running" if !on_its_volume => Step::StopRobbed,
        "Running" if runs_unasked => Step::StopUnasked,
        // Its pod is gone or going: AgentTier is about to stop it, or to start another one.
        "Running" if sandbox.mounted.is_none() => Step::AwaitRunning,
        "Running" if !volume.owned_by_sandbox => Step::Adopt,
        "Running" if volume.bound => Step::Done,
        "" => Step::Park,
        // On its way, or robbed while booting: AgentTier takes a stop only from Running. It may have made a pod by now,
        // so it is not stopped behind its back. And a phase that we do not know is left to AgentTier.
        _ => Step::AwaitRunning,
    }
}

/// Why nothing can be filled from the recovery point.
fn unreadable(snapshot: Option<SnapshotSight>) -> Option<Refusal> {
    match snapshot {
        None => Some(Refusal::NoRecoveryPoint),
        Some(SnapshotSight { usable: false }) => Some(Refusal::RecoveryPointNotReady),
        Some(SnapshotSight { usable: true }) => None,
    }
}
