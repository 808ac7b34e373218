//! Which recovery point to restore from.

use agenttier_backup_plan::{Ownership, marks};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::agenttier::{Sandbox, workspace_claim};
use crate::csi::VolumeSnapshot;
use crate::observe::recovery_point;

/// A recovery point, resolved.
#[derive(Debug, Clone)]
pub struct Point {
    /// The VolumeSnapshot.
    pub snapshot: VolumeSnapshot,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
}

/// Why no recovery point was found.
#[derive(Debug, thiserror::Error)]
pub enum PointError {
    /// There is none for that sandbox.
    #[error(
        "no ready recovery point of sandbox {sandbox:?} in namespace {namespace:?}; \
         `agenttier-backup list -n {namespace}` shows what there is"
    )]
    None {
        /// The sandbox.
        sandbox: String,
        /// Its namespace.
        namespace: String,
    },
    /// The named one does not exist.
    #[error("there is no VolumeSnapshot {name:?} in namespace {namespace:?}")]
    NoSuch {
        /// The name that was given.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// The API server said no.
    #[error("cannot read recovery points")]
    Api(#[from] kube::Error),
}

/// Finds the named recovery point, or the newest ready one of the sandbox.
///
/// Without a name only points of ours count, of the volume that the sandbox uses now, or, where that cannot
/// be told, points that were taken of the sandbox of that name.
///
/// # Errors
/// When there is none.
pub async fn resolve(
    client: &Client,
    namespace: &str,
    sandbox: &str,
    name: Option<&str>,
) -> Result<Point, PointError> {
    let snapshots: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
    if let Some(name) = name {
        let snapshot = snapshots
            .get_opt(name)
            .await?
            .ok_or_else(|| PointError::NoSuch { name: name.into(), namespace: namespace.into() })?;
        let found = recovery_point(&snapshot).map(|point| point.taken_at(Timestamp::now()));
        let taken_at =
            found.ok_or_else(|| PointError::NoSuch { name: name.into(), namespace: namespace.into() })?;
        return Ok(Point { snapshot, taken_at });
    }
    let live = Api::<Sandbox>::namespaced(client.clone(), namespace).get_opt(sandbox).await?;
    let claim =
        live.as_ref().and_then(Sandbox::claim).map_or_else(|| workspace_claim(sandbox), str::to_owned);
    let volume = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace).get_opt(&claim).await?;
    let volume = volume.and_then(|claim| claim.metadata.uid);

    let selector = format!("{}={}", marks::MANAGED_BY, marks::US);
    let all = snapshots.list(&ListParams::default().labels(&selector)).await?;
    let now = Timestamp::now();
    all.items
        .into_iter()
        .filter_map(|snapshot| Some((recovery_point(&snapshot)?, snapshot)))
        .filter(|(point, _)| point.ready && !point.terminating)
        .filter(|(point, snapshot)| match (&point.ownership, &volume) {
            (Ownership::Ours { volume: held }, Some(volume)) => held.as_str() == volume,
            (Ownership::Ours { .. }, None) => {
                snapshot.annotations().get(marks::SANDBOX).is_some_and(|name| name == sandbox)
            }
            _ => false,
        })
        // The newest by the API server's clock, as retention has it: the storage's may tell any time.
        .max_by(|(a, _), (b, _)| (a.created, &a.name).cmp(&(b.created, &b.name)))
        .map(|(point, snapshot)| Point { taken_at: point.taken_at(now), snapshot })
        .ok_or_else(|| PointError::None { sandbox: sandbox.into(), namespace: namespace.into() })
}
