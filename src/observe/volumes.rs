//! Objects → [`Volume`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agenttier_backup_plan::workspace::is_workspace;
use agenttier_backup_plan::{ClaimPhase, Ownership, RecoveryPoint, Volume, VolumeUid};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

use super::Observed;
use super::agenttier_loop::{loop_over, looped_namespaces};
use super::recovery_point::{marks_of, recovery_point};
use super::retired::{Aftermath, Retired};
use super::sandbox_ref::{Sandboxes, User, sandbox_ref};
use crate::agenttier::Sandbox;
use crate::claim::phase;
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
    volumes.extend(retired.volumes(
        |namespace, snapshot| index.point(namespace, snapshot),
        |namespace, newest| index.aftermath(namespace, newest),
    ));
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
    user: User<'a>,
}

/// What is looked up once a claim.
struct Index<'a> {
    driver_of: BTreeMap<&'a str, &'a str>,
    /// `None` where it is not known.
    attached: Option<BTreeSet<&'a str>>,
    sandboxes: Sandboxes<'a>,
    looped: BTreeSet<String>,
    classes_that_retain: BTreeSet<&'a str>,
    snapshots_of: BTreeMap<ClaimKey<'a>, Vec<&'a VolumeSnapshot>>,
    readers_of: BTreeMap<ClaimKey<'a>, BTreeSet<String>>,
    names_in: BTreeMap<&'a str, Arc<BTreeSet<String>>>,
}

impl<'a> Index<'a> {
    fn of(observed: &'a Observed) -> Self {
        let classes = observed.classes.iter().flatten().filter(|class| class.retains());
        let mut index = Self {
            driver_of: BTreeMap::new(),
            attached: observed.attachments.as_ref().map(|attachments| {
                let attached = attachments.iter();
                attached.filter_map(|on| on.spec.source.persistent_volume_name.as_deref()).collect()
            }),
            sandboxes: Sandboxes::of(observed),
            looped: looped_namespaces(observed.deployments.iter().map(AsRef::as_ref)),
            classes_that_retain: classes.filter_map(|class| class.metadata.name.as_deref()).collect(),
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
        let mut user = self.sandboxes.user_of(claim);
        if user.sandbox.is_none() && !user.ties.owned_by_sandbox {
            let points = self.snapshots_of.get(&(namespace, name)).into_iter().flatten();
            let ours = points.filter(
                |point| matches!(marks_of(point), Ownership::Ours { volume } if volume.as_str() == uid),
            );
            if let Some(newest) = ours.max_by_key(|point| &point.metadata.creation_timestamp) {
                user = self.sandboxes.user_by(namespace, newest);
            }
        }
        is_workspace(claim.labels(), user.ties).then_some(Workspace {
            claim,
            uid,
            namespace,
            name,
            created,
            user,
        })
    }

    fn volume(&self, workspace: &Workspace<'_>, retired: &Retired<'_>) -> Volume {
        let Workspace { claim, uid, namespace, name, created, user } = *workspace;
        let volume_name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
        let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
        let points = self.snapshots_of.get(&(namespace, name)).into_iter().flatten();
        // Those of an earlier volume of that name are told of there.
        let points: Vec<RecoveryPoint> = points
            .filter_map(|snapshot| self.point(namespace, snapshot))
            .filter(|point| !retired.holds(namespace, &point.ownership))
            .collect();
        let was_left =
            points.iter().any(|point| point.after_switch && point.is_ours_of(&VolumeUid::new(uid)));
        let switched_to = user.switched_to.filter(|_| was_left || !user.is_starting);
        Volume {
            uid: VolumeUid::new(uid),
            namespace: namespace.to_owned(),
            claim: name.to_owned(),
            phase: match phase(claim) {
                Some("Bound") => ClaimPhase::Bound,
                Some("Lost") => ClaimPhase::Lost,
                _ => ClaimPhase::Pending,
            },
            terminating: claim.metadata.deletion_timestamp.is_some(),
            created,
            driver: volume_name.and_then(|name| self.driver_of.get(name)).map(|driver| (*driver).to_owned()),
            shared: modes.is_some_and(|modes| modes.iter().any(|mode| mode == "ReadWriteMany")),
            // What is not known to be attached nowhere may be, and be written to.
            attached: self
                .attached
                .as_ref()
                .is_none_or(|attached| volume_name.is_some_and(|name| attached.contains(name))),
            agenttier_loop: loop_over(&self.looped, namespace, claim.labels()),
            sandbox: user.sandbox.map(sandbox_ref),
            owner_unseen: user.ties.owned_by_sandbox && user.sandbox.is_none(),
            switched_to: switched_to.map(str::to_owned),
            points,
            taken_names: self.names_in.get(namespace).cloned().unwrap_or_default(),
        }
    }

    /// What the Sandbox of a volume that is none any more is by now, and what sweeps there.
    fn aftermath(&self, namespace: &str, newest: &VolumeSnapshot) -> Aftermath {
        let sandbox = self.sandboxes.former_user(namespace, newest);
        Aftermath {
            sandbox: sandbox.map(sandbox_ref),
            switched_to: sandbox.and_then(Sandbox::claim).map(str::to_owned),
            agenttier_loop: loop_over(&self.looped, namespace, &BTreeMap::new()),
        }
    }

    fn point(&self, namespace: &str, snapshot: &VolumeSnapshot) -> Option<RecoveryPoint> {
        let point = recovery_point(snapshot)?;
        let readers = self.readers_of.get(&(namespace, point.name.as_str())).cloned().unwrap_or_default();
        let class = snapshot.spec.volume_snapshot_class_name.as_deref();
        let class_retains = class.is_some_and(|class| self.classes_that_retain.contains(class));
        Some(RecoveryPoint { readers, class_retains, ..point })
    }
}

/// The VolumeSnapshot (namespace, name) that a claim is still to be filled from.
fn unfinished_read(claim: &PersistentVolumeClaim) -> Option<ClaimKey<'_>> {
    let bound = phase(claim) == Some("Bound");
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
