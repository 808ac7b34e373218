//! The recovery point of a restore.

use agenttier_backup_plan::restore::{Candidate, Choice, Wanted, choose};
use agenttier_backup_plan::{Ownership, VolumeUid, marks};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::error::RestoreError;
use super::order::Order;
use super::unchosen::{Offer, Unchosen};
use crate::agenttier::{Sandbox, workspace_claim};
use crate::csi::VolumeSnapshot;
use crate::observe::{marks_of, recovery_point};

/// A recovery point, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    /// Name of the VolumeSnapshot.
    pub(super) name: String,
    /// Its UID.
    pub(super) uid: String,
    /// The moment that its data is from.
    pub(super) taken_at: Timestamp,
    /// The record, of the Sandbox that used the volume then, that it names.
    pub(super) record: Option<String>,
    /// UID of that Sandbox, where it says so.
    pub(super) sandbox_uid: Option<String>,
}

impl Point {
    /// None for a snapshot that the API server has not created.
    fn of(snapshot: &VolumeSnapshot) -> Option<Self> {
        let point = recovery_point(snapshot)?;
        let mark = |key: &str| snapshot.annotations().get(key).cloned();
        Some(Self {
            taken_at: point.taken_at(Timestamp::now()),
            name: point.name,
            uid: point.uid,
            record: mark(marks::RECORD),
            sandbox_uid: mark(marks::SANDBOX_UID),
        })
    }
}

/// Finds the recovery point that is named, or else the newest ready one of ours.
pub(super) async fn find_point(
    client: &Client,
    order: &Order,
    source: &Sandbox,
) -> Result<Point, RestoreError> {
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client.clone(), &order.namespace);
    if let Some(name) = &order.from {
        let named = snapshots.get_opt(name).await;
        let named = named.map_err(|error| RestoreError::api("read recovery points", error))?;
        let named = named.and_then(|named| Some((Point::of(&named)?, named)));
        let Some((point, snapshot)) = named else {
            return Err(RestoreError::NoSuchPoint { name: name.clone(), namespace: order.namespace.clone() });
        };
        if !order.from_other {
            is_of(&snapshot, &wanted(source, None, None), order)?;
        }
        return Ok(point);
    }
    let in_use = source.claim().map_or_else(|| workspace_claim(&order.sandbox), str::to_owned);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &order.namespace);
    let claim = claims.get_opt(&in_use).await;
    let claim = claim.map_err(|error| RestoreError::api("read volume claims", error))?;
    let wanted = wanted(source, claim.and_then(|claim| claim.metadata.uid), order.as_of);

    let ours = ListParams::default().labels(&format!("{}={}", marks::MANAGED_BY, marks::US));
    let all = snapshots.list(&ours).await;
    let all = all.map_err(|error| RestoreError::api("list recovery points", error))?.items;
    let by_name = |name: &str| all.iter().find(|snapshot| snapshot.name_any() == name).and_then(Point::of);
    let offers = |points: &[Candidate]| -> Vec<Offer> {
        let command = order.command(&order.sandbox);
        let offer = |point: &Candidate| Offer::of(&wanted, point, format!("{command} --from {}", point.name));
        points.iter().map(offer).collect()
    };
    match choose(&wanted, all.iter().filter_map(candidate)) {
        Choice::Newest(newest) => by_name(&newest.name).ok_or_else(|| RestoreError::no_point(order)),
        Choice::None => Err(RestoreError::no_point(order)),
        Choice::Unclear(newest) => Err(RestoreError::Unchosen(Unchosen::Unclear {
            sandbox: order.sandbox.clone(),
            offers: offers(&newest),
            now: Timestamp::now(),
        })),
        Choice::AllYounger(oldest) => Err(RestoreError::AllYounger {
            sandbox: order.sandbox.clone(),
            as_of: order.as_of.unwrap_or_default(),
            offers: offers(&oldest),
            now: Timestamp::now(),
        }),
    }
}

fn wanted(source: &Sandbox, volume: Option<String>, as_of: Option<Timestamp>) -> Wanted {
    let name = source.name_any();
    let claims = [Some(workspace_claim(&name)), source.claim().map(str::to_owned)];
    Wanted {
        sandbox: name,
        claims: claims.into_iter().flatten().collect(),
        volume: volume.map(VolumeUid::new),
        as_of,
    }
}

/// A snapshot of ours that can be restored from.
pub(crate) fn candidate(snapshot: &VolumeSnapshot) -> Option<Candidate> {
    let point = recovery_point(snapshot).filter(|point| point.ready && !point.terminating())?;
    let taken_at = point.taken_at(Timestamp::now());
    let Ownership::Ours { volume } = point.ownership else { return None };
    Some(Candidate {
        taken_at,
        name: point.name,
        volume,
        claim: snapshot.spec.source.persistent_volume_claim_name.clone()?,
        sandbox: snapshot.annotations().get(marks::SANDBOX).cloned(),
        created: point.created,
    })
}

/// Refuses a snapshot of another sandbox's volume. One that others made (AgentTier's own, a clone's) is known by the
/// claim that it was taken of.
fn is_of(snapshot: &VolumeSnapshot, wanted: &Wanted, order: &Order) -> Result<(), RestoreError> {
    let ours = matches!(marks_of(snapshot), Ownership::Ours { .. });
    let sandbox = snapshot.annotations().get(marks::SANDBOX).map(String::as_str).filter(|_| ours);
    let claim = snapshot.spec.source.persistent_volume_claim_name.as_deref();
    if wanted.had(claim.unwrap_or_default(), sandbox) {
        return Ok(());
    }
    Err(RestoreError::OtherSandboxes {
        point: snapshot.name_any(),
        holds: match (sandbox, claim) {
            (Some(sandbox), _) => format!("sandbox {sandbox:?}"),
            (None, Some(claim)) => format!("the volume claim {claim:?}"),
            (None, None) => "no volume claim".to_owned(),
        },
        sandbox: order.sandbox.clone(),
        command: order.command(&order.sandbox),
    })
}

#[cfg(test)]
mod tests {
    use agenttier_backup_plan::restore::Start;
    use serde_json::{Value, json};

    use super::*;

    fn snapshot(claim: Option<&str>, labels: &Value, annotations: &Value) -> VolumeSnapshot {
        serde_json::from_value(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": { "name": "p", "labels": labels, "annotations": annotations },
            "spec": { "source": { "persistentVolumeClaimName": claim } },
        }))
        .expect("a snapshot")
    }

    fn ours(claim: &str, sandbox: &str) -> VolumeSnapshot {
        let labels = json!({ marks::MANAGED_BY: marks::US, marks::SNAPSHOT_KIND: marks::SCHEDULED_BACKUP });
        let annotations = json!({ marks::VOLUME_UID: "u", marks::CLAIM: claim, marks::SANDBOX: sandbox });
        snapshot(Some(claim), &labels, &annotations)
    }

    fn is_of_s2(snapshot: &VolumeSnapshot) -> Result<(), RestoreError> {
        let source: Sandbox = serde_json::from_value(json!({
            "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox",
            "metadata": { "name": "s2" }, "spec": {}, "status": { "pvcName": "pool-2-pvc" },
        }))
        .expect("a sandbox");
        let order = Order {
            namespace: "team-a".into(),
            sandbox: "s2".into(),
            from: Some("p".into()),
            from_other: false,
            as_of: None,
            target: "x".parse().expect("a name"),
            start: Start::Running,
            program: "agenttier-backup".into(),
        };
        is_of(snapshot, &wanted(&source, None, None), &order)
    }

    #[test]
    fn its_own_by_mark_or_by_claim_whoever_made_it() {
        for own in [
            ours("s2-workspace", "s2"),
            ours("pool-2-pvc", "s2"),
            ours("pool-1-pvc", "s2"),
            snapshot(Some("pool-2-pvc"), &json!({ marks::SOURCE_SANDBOX: "s2" }), &json!({})),
            snapshot(Some("s2-workspace"), &json!({ marks::SNAPSHOT_KIND: "on-stop" }), &json!({})),
        ] {
            assert!(is_of_s2(&own).is_ok(), "{:?}", own.metadata);
        }
    }

    #[test]
    fn anothers_is_refused_and_the_way_round_it_is_said() {
        let error = is_of_s2(&ours("s1-workspace", "s1")).expect_err("of s1").to_string();
        assert!(error.contains("\"p\" is of sandbox \"s1\", not of \"s2\""), "{error}");
        assert!(
            error.ends_with("agenttier-backup restore s2 -n team-a --as x --from p --from-other"),
            "{error}"
        );
        // A mark on what is not ours proves nothing.
        let forged = snapshot(Some("s1-workspace"), &json!({}), &json!({ marks::SANDBOX: "s2" }));
        assert!(is_of_s2(&forged).is_err());
        assert!(is_of_s2(&snapshot(None, &json!({}), &json!({}))).is_err());
    }
}
