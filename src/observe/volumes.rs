//! Objects → [`Volume`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup_plan::workspace::{Ties, is_workspace};
use agenttier_backup_plan::{ClaimPhase, RecoveryPoint, SandboxRef, Volume, VolumeUid};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

use super::Observed;
use super::recovery_point::recovery_point;
use super::retired::Retired;
use crate::agenttier::Sandbox;
use crate::csi::{GROUP, VolumeSnapshot};

/// Every workspace volume with all snapshots of its claim, and every volume that was one and of which recovery points
/// of ours are left; in the order of namespace and name.
#[must_use]
pub fn volumes(observed: &Observed) -> Vec<Volume> {
    let index = Index::of(observed);
    let workspaces: Vec<Workspace<'_>> =
        observed.claims.iter().filter_map(|claim| index.workspace(claim)).collect();
    let live: BTreeSet<&str> = workspaces.iter().map(|workspace| workspace.uid).collect();
    let retired = Retired::of(observed, &live);
    let mut volumes: Vec<Volume> =
        workspaces.iter().map(|workspace| index.volume(workspace, &retired)).collect();
    volumes.extend(retired.volumes(|namespace, snapshot| index.point(namespace, snapshot)));
    volumes.sort_by(|a, b| (&a.namespace, &a.claim, &a.uid).cmp(&(&b.namespace, &b.claim, &b.uid)));
    volumes
}

/// (namespace, name) of a claim.
type ClaimKey<'a> = (&'a str, &'a str);

/// A claim that is a sandbox workspace.
struct Workspace<'a> {
    claim: &'a PersistentVolumeClaim,
    uid: &'a str,
    namespace: &'a str,
    name: &'a str,
    created: Timestamp,
    sandbox: Option<&'a Sandbox>,
}

/// What is looked up once a claim.
struct Index<'a> {
    driver_of: BTreeMap<&'a str, &'a str>,
    sandbox_of: BTreeMap<ClaimKey<'a>, &'a Sandbox>,
    sandbox_by_uid: BTreeMap<&'a str, &'a Sandbox>,
    snapshots_of: BTreeMap<ClaimKey<'a>, Vec<&'a VolumeSnapshot>>,
    readers_of: BTreeMap<ClaimKey<'a>, BTreeSet<String>>,
    names_in: BTreeMap<&'a str, Arc<BTreeSet<String>>>,
}

impl<'a> Index<'a> {
    fn of(observed: &'a Observed) -> Self {
        let mut index = Self {
            driver_of: BTreeMap::new(),
            sandbox_of: BTreeMap::new(),
            sandbox_by_uid: BTreeMap::new(),
            snapshots_of: BTreeMap::new(),
            readers_of: BTreeMap::new(),
            names_in: BTreeMap::new(),
        };
        for volume in &observed.persistent_volumes {
            let csi = volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
            if let (Some(name), Some(csi)) = (&volume.metadata.name, csi) {
                index.driver_of.insert(name, &csi.driver);
            }
        }
        for sandbox in &observed.sandboxes {
            let namespace = sandbox.metadata.namespace.as_deref().unwrap_or_default();
            if let Some(claim) = sandbox.claim() {
                index.sandbox_of.insert((namespace, claim), sandbox);
            }
            if let Some(uid) = &sandbox.metadata.uid {
                index.sandbox_by_uid.insert(uid, sandbox);
            }
        }
        let mut names: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for snapshot in &observed.snapshots {
            let namespace = snapshot.metadata.namespace.as_deref().unwrap_or_default();
            names.entry(namespace).or_default().insert(snapshot.name_any());
            if let Some(claim) = snapshot.spec.source.persistent_volume_claim_name.as_deref() {
                index.snapshots_of.entry((namespace, claim)).or_default().push(snapshot);
            }
        }
        index.names_in = names.into_iter().map(|(namespace, names)| (namespace, Arc::new(names))).collect();
        for claim in &observed.claims {
            if let Some((namespace, snapshot)) = unfinished_read(claim) {
                index.readers_of.entry((namespace, snapshot)).or_default().insert(claim.name_any());
            }
        }
        index
    }

    fn workspace(&self, claim: &'a PersistentVolumeClaim) -> Option<Workspace<'a>> {
        let uid = claim.metadata.uid.as_deref()?;
        let namespace = claim.metadata.namespace.as_deref()?;
        let name = claim.metadata.name.as_deref()?;
        let created = claim.metadata.creation_timestamp.as_ref()?.0;
        let key = (namespace, name);
        let owner = claim
            .owner_references()
            .iter()
            .filter(|owner| owner.kind == "Sandbox" && owner.api_version.starts_with("agenttier.io/"))
            .map(|owner| self.sandbox_by_uid.get(owner.uid.as_str()).copied())
            .collect::<Vec<_>>();
        let ties = Ties {
            named_by_sandbox: self.sandbox_of.contains_key(&key),
            owned_by_sandbox: !owner.is_empty(),
        };
        if !is_workspace(claim.labels(), ties) {
            return None;
        }
        let sandbox = self.sandbox_of.get(&key).copied().or_else(|| owner.into_iter().flatten().next());
        Some(Workspace { claim, uid, namespace, name, created, sandbox })
    }

    fn volume(&self, workspace: &Workspace<'_>, retired: &Retired<'_>) -> Volume {
        let Workspace { claim, uid, namespace, name, created, sandbox } = *workspace;
        let volume_name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        let points = self.snapshots_of.get(&(namespace, name)).into_iter().flatten();
        // Those of an earlier volume of that name are told of there.
        let points: Vec<RecoveryPoint> = points
            .filter_map(|snapshot| self.point(namespace, snapshot))
            .filter(|point| !retired.holds(namespace, &point.ownership))
            .collect();
        Volume {
            uid: VolumeUid::new(uid),
            namespace: namespace.to_owned(),
            claim: name.to_owned(),
            phase: match claim.status.as_ref().and_then(|status| status.phase.as_deref()) {
                Some("Bound") => ClaimPhase::Bound,
                Some("Lost") => ClaimPhase::Lost,
                _ => ClaimPhase::Pending,
            },
            terminating: claim.metadata.deletion_timestamp.is_some(),
            created,
            driver: volume_name.and_then(|name| self.driver_of.get(name)).map(|driver| (*driver).to_owned()),
            sandbox: sandbox.map(|sandbox| SandboxRef {
                name: sandbox.name_any(),
                uid: sandbox.uid().unwrap_or_default(),
                phase: sandbox.phase().to_owned(),
                record: None,
            }),
            points,
            taken_names: self.names_in.get(namespace).cloned().unwrap_or_default(),
        }
    }

    fn point(&self, namespace: &str, snapshot: &VolumeSnapshot) -> Option<RecoveryPoint> {
        let point = recovery_point(snapshot)?;
        let readers = self.readers_of.get(&(namespace, point.name.as_str())).cloned().unwrap_or_default();
        Some(RecoveryPoint { readers, ..point })
    }
}

/// The VolumeSnapshot (namespace, name) that a claim is still to be filled from.
fn unfinished_read(claim: &PersistentVolumeClaim) -> Option<ClaimKey<'_>> {
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    let spec = claim.spec.as_ref().filter(|_| !bound)?;
    let namespace = claim.metadata.namespace.as_deref()?;
    let local = spec
        .data_source
        .as_ref()
        .filter(|source| source.kind == "VolumeSnapshot" && source.api_group.as_deref() == Some(GROUP));
    let any = spec
        .data_source_ref
        .as_ref()
        .filter(|source| source.kind == "VolumeSnapshot" && source.api_group.as_deref() == Some(GROUP));
    match (local, any) {
        (Some(source), _) => Some((namespace, source.name.as_str())),
        (None, Some(source)) => {
            Some((source.namespace.as_deref().unwrap_or(namespace), source.name.as_str()))
        }
        (None, None) => None,
    }
}
