//! Pins: recovery points that somebody wants to keep whatever their age.
//!
//! A pin is an annotation, so that it needs no controller, survives everything and can be set by `kubectl` as well.
//! An order to prune that was given before comes too late: it has the point's resourceVersion as a precondition.

use agenttier_backup_plan::restore::{Candidate, Choice, Wanted, choose};
use agenttier_backup_plan::{Foreign, Ownership, VolumeUid, marks};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use serde_json::json;

use crate::agenttier::{Sandbox, workspace_claim};
use crate::api::FIELD_MANAGER;
use crate::api_error::sentence;
use crate::csi::VolumeSnapshot;
use crate::observe::{marks_of, recovery_point};
use crate::restore::{Offer, Unchosen, candidate};

/// What the annotation says where nobody gave a reason.
const NO_REASON: &str = "true";

/// A recovery point, and its pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Its namespace.
    pub namespace: String,
    /// The VolumeSnapshot.
    pub snapshot: String,
    /// The Sandbox that used the volume then, where it says so.
    pub sandbox: Option<String>,
    /// The moment that its data is from.
    pub taken_at: Option<Timestamp>,
    /// Whether it is pinned now.
    pub pinned: bool,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    /// Whether that was otherwise before.
    pub changed: bool,
}

/// Why a recovery point could not be pinned or unpinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It does not exist.
    #[error(
        "there is no VolumeSnapshot {name:?} in namespace {namespace:?}; `agenttier-backup list -n {namespace}` shows \
         what there is"
    )]
    NoSuchPoint {
        /// The name that was given.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// A pin on it would keep nobody from deleting it.
    #[error("VolumeSnapshot {name:?} cannot be pinned: {why}")]
    NotOurs {
        /// Its name.
        name: String,
        /// Whose it is, and what that means.
        why: &'static str,
    },
    /// It is going.
    #[error("VolumeSnapshot {name:?} is being deleted since {since}: it is too late to pin it")]
    Leaving {
        /// Its name.
        name: String,
        /// Its deletionTimestamp.
        since: Timestamp,
    },
    /// None of the sandbox's could be chosen.
    #[error(transparent)]
    Unchosen(#[from] Unchosen),
    /// The API server said no.
    #[error("cannot {doing}: {said}")]
    Api {
        /// What was being done.
        doing: &'static str,
        /// What the API server said.
        said: String,
    },
}

fn api(doing: &'static str) -> impl Fn(kube::Error) -> PinError {
    move |error| PinError::Api { doing, said: sentence(&error) }
}

/// Pins a recovery point: from then on it is never pruned. One that is pinned already keeps its reason unless another
/// is given.
///
/// # Errors
/// When there is none of ours of that name, or it is being deleted.
pub async fn pin(
    client: &Client,
    namespace: &str,
    name: &str,
    reason: Option<&str>,
) -> Result<Pin, PinError> {
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
    let found = read(&snapshots, namespace, name).await?;
    let stays = |snapshot: &VolumeSnapshot| match &snapshot.metadata.deletion_timestamp {
        Some(since) => Err(PinError::Leaving { name: name.to_owned(), since: since.0 }),
        None => Ok(()),
    };
    stays(&found)?;
    if let Some(why) = beyond_us(&marks_of(&found)) {
        return Err(PinError::NotOurs { name: name.to_owned(), why });
    }
    let before = found.annotations().get(marks::PINNED).cloned();
    let wanted = reason.map(str::to_owned).or_else(|| before.clone()).unwrap_or_else(|| NO_REASON.to_owned());
    if before.as_ref() == Some(&wanted) {
        return Ok(pin_of(&found, false));
    }
    let pinned = write(&snapshots, &found, Some(&wanted)).await.map_err(api("pin the recovery point"))?;
    // A delete may have come in between.
    stays(&pinned)?;
    Ok(pin_of(&pinned, true))
}

/// Takes a pin away: from then on retention decides. Also from what is not ours, where it never had a meaning.
///
/// # Errors
/// When there is no VolumeSnapshot of that name.
pub async fn unpin(client: &Client, namespace: &str, name: &str) -> Result<Pin, PinError> {
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
    let found = read(&snapshots, namespace, name).await?;
    if !found.annotations().contains_key(marks::PINNED) {
        return Ok(pin_of(&found, false));
    }
    let unpinned = write(&snapshots, &found, None).await.map_err(api("unpin the recovery point"))?;
    Ok(pin_of(&unpinned, true))
}

/// The newest ready recovery point of the volume that a sandbox uses, or used if it is gone.
///
/// # Errors
/// When there is none, or it cannot be told which volume is meant.
pub async fn newest_of(client: &Client, namespace: &str, sandbox: &str) -> Result<String, PinError> {
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
    let found = sandboxes.get_opt(sandbox).await.map_err(api("read the sandbox"))?;
    let own = workspace_claim(sandbox);
    let used = found.as_ref().and_then(Sandbox::claim).map(str::to_owned);
    let claim = claims.get_opt(used.as_ref().unwrap_or(&own)).await.map_err(api("read volume claims"))?;
    let wanted = Wanted {
        sandbox: sandbox.to_owned(),
        claims: [Some(own), used].into_iter().flatten().collect(),
        volume: claim.and_then(|claim| claim.metadata.uid).map(VolumeUid::new),
        as_of: None,
    };
    let ours = ListParams::default().labels(&format!("{}={}", marks::MANAGED_BY, marks::US));
    let all = snapshots.list(&ours).await.map_err(api("list recovery points"))?.items;
    match choose(&wanted, all.iter().filter_map(candidate)) {
        Choice::Newest(newest) => Ok(newest.name),
        Choice::Unclear(newest) => {
            let pin = |point: &Candidate| format!("agenttier-backup pin {} -n {namespace}", point.name);
            let offers = newest.iter().map(|point| Offer::of(&wanted, point, pin(point)));
            let (sandbox, offers) = (sandbox.to_owned(), offers.collect());
            Err(Unchosen::Unclear { sandbox, offers, now: Timestamp::now() }.into())
        }
        Choice::None | Choice::AllYounger(_) => {
            Err(Unchosen::NoPoint { sandbox: sandbox.to_owned(), namespace: namespace.to_owned() }.into())
        }
    }
}

async fn read(
    snapshots: &Api<VolumeSnapshot>,
    namespace: &str,
    name: &str,
) -> Result<VolumeSnapshot, PinError> {
    let found = snapshots.get_opt(name).await.map_err(api("read the recovery point"))?;
    let no_such = || PinError::NoSuchPoint { name: name.to_owned(), namespace: namespace.to_owned() };
    found.ok_or_else(no_such)
}

/// Writes or removes the annotation, on this very object: another one of the same name is another recovery point.
async fn write(
    snapshots: &Api<VolumeSnapshot>,
    found: &VolumeSnapshot,
    reason: Option<&str>,
) -> kube::Result<VolumeSnapshot> {
    let change = json!({ "metadata": { "uid": found.uid(), "annotations": { marks::PINNED: reason } } });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    snapshots.patch(&found.name_any(), &params, &Patch::Merge(change)).await
}

fn pin_of(snapshot: &VolumeSnapshot, changed: bool) -> Pin {
    let reason = snapshot.annotations().get(marks::PINNED);
    Pin {
        namespace: snapshot.namespace().unwrap_or_default(),
        snapshot: snapshot.name_any(),
        sandbox: snapshot.annotations().get(marks::SANDBOX).filter(|name| !name.is_empty()).cloned(),
        taken_at: recovery_point(snapshot).map(|point| point.taken_at(Timestamp::now())),
        pinned: reason.is_some(),
        reason: reason.filter(|reason| !matches!(reason.as_str(), "" | NO_REASON)).cloned(),
        changed,
    }
}

/// Why a pin of ours would mean nothing on a snapshot of that owner.
fn beyond_us(ownership: &Ownership) -> Option<&'static str> {
    Some(match ownership {
        Ownership::Ours { .. } => return None,
        Ownership::AgentTier => {
            "AgentTier made it, whose own pruning goes by age and knows of no pins; agenttier-backup never deletes it"
        }
        Ownership::Foreign(Foreign::Velero) => {
            "it is Velero's, whose backup decides how long it lives; agenttier-backup never deletes it"
        }
        Ownership::Foreign(Foreign::MarksDoNotFit) => {
            "it says that agenttier-backup made it, but its marks do not fit its source; it is never deleted anyway"
        }
        Ownership::Foreign(Foreign::Clone | Foreign::OtherKind | Foreign::Unmarked) => {
            "agenttier-backup did not make it and never deletes it anyway"
        }
    })
}
