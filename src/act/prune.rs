//! Pruning: the one place that deletes a recovery point.

use agenttier_backup_plan::{Keeper, Ownership, Prune, Safety, VolumeId};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};

use super::failure::{Failure, is_missing};
use super::gone::prove_gone;
use crate::csi::VolumeSnapshot;
use crate::leader::Leadership;
use crate::observe::marks_of;

/// Deletes the recovery point if it is still the object that was planned with, after reading live that its
/// keeper is there.
pub(super) async fn prune(client: &Client, leadership: &Leadership, order: &Prune) -> Result<(), Failure> {
    let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), &order.volume.namespace);
    match &order.safety {
        Safety::Keeper(keeper) => {
            let found = api.get_opt(&keeper.name).await?;
            fit_to_keep(&order.volume, keeper, found.as_ref())
                .map_err(|state| Failure::KeeperUnfit { keeper: keeper.name.clone(), state })?;
        }
        Safety::Unready => {
            let found = api.get_opt(&order.name).await?;
            if found.is_some_and(|found| found.is_ready()) {
                return Err(Failure::Changed);
            }
        }
        Safety::Gone(user) => prove_gone(client, &order.volume, user).await?,
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(order.uid.clone()),
            resource_version: Some(order.version.clone()),
        }),
        ..DeleteParams::default()
    };
    leadership.check()?;
    match api.delete(&order.name, &params).await {
        Ok(_) => Ok(()),
        // Somebody was quicker; it is gone all the same.
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn fit_to_keep(
    volume: &VolumeId,
    planned: &Keeper,
    found: Option<&VolumeSnapshot>,
) -> Result<(), &'static str> {
    let Some(keeper) = found else { return Err("gone") };
    let ours = Ownership::Ours { volume: volume.uid.clone() };
    match () {
        () if keeper.metadata.uid.as_ref() != Some(&planned.uid) => Err("another object by now"),
        () if keeper.metadata.deletion_timestamp.is_some() => Err("being deleted"),
        () if !keeper.is_ready() => Err("not ready"),
        () if marks_of(keeper) != ours => Err("not of this volume"),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use agenttier_backup_plan::{VolumeUid, marks};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::csi::{SnapshotSource, VolumeSnapshotSpec, VolumeSnapshotStatus};

    fn fits(found: Option<&VolumeSnapshot>) -> Result<(), &'static str> {
        let volume =
            VolumeId { namespace: "n".into(), claim: "s1-workspace".into(), uid: VolumeUid::new("volume") };
        fit_to_keep(&volume, &Keeper { name: "new".into(), uid: "new-uid".into() }, found)
    }

    fn keeper() -> VolumeSnapshot {
        let source = SnapshotSource {
            persistent_volume_claim_name: Some("s1-workspace".into()),
            ..SnapshotSource::default()
        };
        let mut keeper = VolumeSnapshot::new("new", VolumeSnapshotSpec { source, ..Default::default() });
        keeper.metadata.uid = Some("new-uid".into());
        keeper.metadata.labels = Some([(marks::MANAGED_BY.into(), marks::US.into())].into());
        keeper.metadata.annotations = Some(
            [(marks::VOLUME_UID.into(), "volume".into()), (marks::CLAIM.into(), "s1-workspace".into())]
                .into(),
        );
        keeper.status = Some(VolumeSnapshotStatus { ready_to_use: Some(true), ..Default::default() });
        keeper
    }

    #[test]
    fn only_a_live_ready_point_of_the_same_volume_makes_a_delete_safe() {
        assert_eq!(fits(Some(&keeper())), Ok(()));
        assert_eq!(fits(None), Err("gone"));
        let unfit = |change: fn(&mut VolumeSnapshot)| {
            let mut keeper = keeper();
            change(&mut keeper);
            fits(Some(&keeper))
        };
        assert_eq!(unfit(|k| k.metadata.uid = Some("other".into())), Err("another object by now"));
        assert_eq!(
            unfit(|k| k.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH))),
            Err("being deleted")
        );
        assert_eq!(unfit(|k| k.status = None), Err("not ready"));
        assert_eq!(unfit(|k| k.metadata.labels = None), Err("not of this volume"));
    }
}
