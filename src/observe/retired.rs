//! Volumes that are no workspaces any more, known by the marks on the recovery points that we made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup_plan::{
    AgentTierLoop, ClaimPhase, Ownership, RecoveryPoint, SandboxRef, Volume, VolumeUid, marks,
};
use kube::ResourceExt;

use super::Observed;
use super::recovery_point::marks_of;
use crate::csi::VolumeSnapshot;

/// (namespace, UID) of a volume.
type VolumeKey<'a> = (&'a str, VolumeUid);

/// What is left of volumes whose claims are gone, or are no Sandbox's workspaces any more.
pub(super) struct Retired<'a> {
    snapshots_of: BTreeMap<VolumeKey<'a>, Vec<&'a VolumeSnapshot>>,
    /// UIDs of the claims that are there all the same.
    abandoned: BTreeSet<&'a str>,
}

/// What has become of the user of a volume that is none any more.
pub(super) struct Aftermath {
    /// The Sandbox that used it, if it lives.
    pub(super) sandbox: Option<SandboxRef>,
    /// The claim that it uses now.
    pub(super) switched_to: Option<String>,
    /// What AgentTier's loop does in the namespace.
    pub(super) agenttier_loop: AgentTierLoop,
}

impl<'a> Retired<'a> {
    /// `live` has the UIDs of all claims that are workspaces.
    pub(super) fn of(observed: &'a Observed, live: &BTreeSet<&str>) -> Self {
        let mut snapshots_of: BTreeMap<VolumeKey<'a>, Vec<&VolumeSnapshot>> = BTreeMap::new();
        for snapshot in &observed.snapshots {
            if let Ownership::Ours { volume } = marks_of(snapshot)
                && !live.contains(volume.as_str())
                && let Some(namespace) = snapshot.metadata.namespace.as_deref()
            {
                snapshots_of.entry((namespace, volume)).or_default().push(snapshot);
            }
        }
        let uids = observed.claims.iter().filter_map(|claim| claim.metadata.uid.as_deref());
        Self { snapshots_of, abandoned: uids.filter(|uid| !live.contains(uid)).collect() }
    }

    /// Whether a point of this ownership is of one of them.
    pub(super) fn holds(&self, namespace: &'a str, ownership: &Ownership) -> bool {
        match ownership {
            Ownership::Ours { volume } => self.snapshots_of.contains_key(&(namespace, volume.clone())),
            Ownership::AgentTier | Ownership::Foreign(_) => false,
        }
    }

    /// One volume each. What is not known of it any more stays empty: nothing is to be made or deleted there.
    pub(super) fn volumes(
        &self,
        point: impl Fn(&str, &VolumeSnapshot) -> Option<RecoveryPoint>,
        aftermath: impl Fn(&str, &VolumeSnapshot) -> Aftermath,
    ) -> impl Iterator<Item = Volume> {
        self.snapshots_of.iter().filter_map(move |((namespace, uid), snapshots)| {
            let newest = snapshots.iter().max_by_key(|snapshot| &snapshot.metadata.creation_timestamp)?;
            let points: Vec<RecoveryPoint> =
                snapshots.iter().filter_map(|snapshot| point(namespace, snapshot)).collect();
            let Aftermath { sandbox, switched_to, agenttier_loop } = aftermath(namespace, newest);
            Some(Volume {
                uid: uid.clone(),
                namespace: (*namespace).to_owned(),
                claim: newest.annotations().get(marks::CLAIM)?.clone(),
                phase: if self.abandoned.contains(uid.as_str()) {
                    ClaimPhase::Abandoned
                } else {
                    ClaimPhase::Gone
                },
                terminating: false,
                created: points.iter().map(|point| point.created).min()?,
                driver: None,
                shared: false,
                attached: false,
                agenttier_loop,
                sandbox,
                // Where it uses a claim of that name still, the volume below it was lost, not left.
                owner_unseen: false,
                switched_to: switched_to.filter(|to| Some(to) != newest.annotations().get(marks::CLAIM)),
                points,
                taken_names: Arc::default(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    use serde_json::json;

    use super::super::volumes;
    use super::*;

    fn claim(name: &str, uid: &str, labels: &serde_json::Value) -> Arc<PersistentVolumeClaim> {
        let claim = json!({
            "metadata": {
                "namespace": "n", "name": name, "uid": uid, "labels": labels,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "status": { "phase": "Bound" },
        });
        Arc::new(serde_json::from_value(claim).expect("a claim"))
    }

    fn managed(name: &str, uid: &str) -> Arc<PersistentVolumeClaim> {
        claim(name, uid, &json!({ marks::MANAGED: "true" }))
    }

    /// One of ours of the claim `name`, when that had this UID.
    fn point(name: &str, claim: &str, uid: &str, day: u8) -> Arc<VolumeSnapshot> {
        let snapshot = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": {
                "namespace": "n", "name": name, "uid": format!("uid-of-{name}"),
                "creationTimestamp": format!("2026-01-{day:02}T00:00:00Z"),
                "labels": { marks::MANAGED_BY: marks::US },
                "annotations": {
                    marks::VOLUME_UID: uid, marks::CLAIM: claim, marks::SANDBOX: format!("{claim}{name}"),
                },
            },
            "spec": { "source": { "persistentVolumeClaimName": claim } },
        });
        Arc::new(serde_json::from_value(snapshot).expect("a snapshot"))
    }

    /// `claim/uid phase: points, each with its sandbox`
    fn told(observed: &Observed) -> Vec<String> {
        let told = volumes(observed).into_iter().map(|volume| {
            let points = volume.points.iter();
            let points: Vec<_> = points
                .map(|point| format!("{} of {}", point.name, point.sandbox.as_deref().unwrap_or("-")))
                .collect();
            format!("{}/{} {:?}: {}", volume.claim, volume.uid, volume.phase, points.join(", "))
        });
        told.collect()
    }

    #[test]
    fn points_of_a_claim_that_is_gone_are_a_volume_of_their_own() {
        let observed = Observed {
            claims: vec![managed("s1", "second")],
            snapshots: vec![
                point("b", "s1", "first", 3),
                point("a", "s1", "first", 2),
                point("c", "s1", "second", 4),
                point("d", "s2", "gone", 1),
            ],
            ..Observed::default()
        };
        assert_eq!(
            told(&observed),
            ["s1/first Gone: b of s1b, a of s1a", "s1/second Bound: c of s1c", "s2/gone Gone: d of s2d",]
        );
        let first = &volumes(&observed)[0];
        assert_eq!(first.created.to_string(), "2026-01-02T00:00:00Z", "as old as its oldest point");
    }

    /// AgentTier left it behind for a volume of the warm pool: what is on it is the work.
    #[test]
    fn points_of_a_claim_that_is_no_workspace_any_more_are_not_lost_sight_of() {
        let observed = Observed {
            claims: vec![claim("pool-1-pvc", "left", &json!({}))],
            snapshots: vec![point("a", "pool-1-pvc", "left", 1)],
            ..Observed::default()
        };
        assert_eq!(told(&observed), ["pool-1-pvc/left Abandoned: a of pool-1-pvca"]);
    }

    /// The warm pool's claim was never handed over, and the Sandbox has left it: that is to be told of, and saved.
    #[test]
    fn what_a_sandbox_that_is_there_has_left_is_a_workspace_whatever_its_labels_say() {
        let sandbox = |phase: &str, uses: &str| {
            let sandbox = json!({
                "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox",
                "metadata": { "namespace": "n", "name": "pool-1-pvca", "uid": "s" },
                "spec": {}, "status": { "phase": phase, "pvcName": uses },
            });
            Arc::new(serde_json::from_value(sandbox).expect("a Sandbox"))
        };
        let observed = |sandbox, claim_uid| Observed {
            claims: vec![claim("pool-1-pvc", claim_uid, &json!({ marks::POOLED: "true" }))],
            sandboxes: vec![sandbox],
            snapshots: vec![point("a", "pool-1-pvc", "left", 1)],
            ..Observed::default()
        };
        let left = volumes(&observed(sandbox("Running", "other"), "left")).remove(0);
        assert_eq!((left.phase, left.switched_to.as_deref()), (ClaimPhase::Bound, Some("other")));
        let starting = volumes(&observed(sandbox("Creating", "other"), "left")).remove(0);
        assert_eq!((starting.phase, starting.switched_to), (ClaimPhase::Bound, None), "it says nothing yet");
        let namesake = observed(sandbox("Running", "other"), "another");
        assert_eq!(told(&namesake), ["pool-1-pvc/left Gone: a of pool-1-pvca"], "nobody used that one");
    }

    #[test]
    fn others_snapshots_make_no_volume() {
        let mut foreign = point("a", "s1", "gone", 1);
        Arc::make_mut(&mut foreign).metadata.labels = None;
        let observed = Observed { snapshots: vec![foreign], ..Observed::default() };
        assert_eq!(told(&observed), [""; 0]);
    }
}
