//! Sandbox → [`SandboxRef`], and which one a volume is of.

use std::collections::BTreeMap;

use agenttier_backup_plan::workspace::Ties;
use agenttier_backup_plan::{Overrides, SandboxRef, marks};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

use super::Observed;
use crate::agenttier::{SANDBOX_LABEL, Sandbox};
use crate::csi::VolumeSnapshot;

/// Sandboxes by all that ties a volume to one.
pub(super) struct Sandboxes<'a> {
    of_claim: BTreeMap<(&'a str, &'a str), &'a Sandbox>,
    of_uid: BTreeMap<&'a str, &'a Sandbox>,
    named: BTreeMap<(&'a str, &'a str), &'a Sandbox>,
}

/// The Sandbox of a claim.
#[derive(Clone, Copy, Default)]
pub(super) struct User<'a> {
    pub(super) sandbox: Option<&'a Sandbox>,
    /// It uses another claim by now.
    pub(super) switched_to: Option<&'a str>,
    /// It is being started: perhaps it is to use this claim, and does not say so yet.
    pub(super) is_starting: bool,
    /// By what it is known. An owner counts whether it lives or not.
    pub(super) ties: Ties,
}

impl<'a> User<'a> {
    fn that_left(sandbox: Option<&'a Sandbox>, ties: Ties) -> Self {
        let is_starting = sandbox.is_some_and(Sandbox::is_starting);
        Self { sandbox, switched_to: sandbox.and_then(Sandbox::claim), is_starting, ties }
    }
}

impl<'a> Sandboxes<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        let mut sandboxes =
            Self { of_claim: BTreeMap::new(), of_uid: BTreeMap::new(), named: BTreeMap::new() };
        for sandbox in &observed.sandboxes {
            let namespace = sandbox.metadata.namespace.as_deref().unwrap_or_default();
            if let Some(claim) = sandbox.claim() {
                sandboxes.of_claim.insert((namespace, claim), sandbox);
            }
            if let Some(uid) = &sandbox.metadata.uid {
                sandboxes.of_uid.insert(uid, sandbox);
            }
            if let Some(name) = &sandbox.metadata.name {
                sandboxes.named.insert((namespace, name), sandbox);
            }
        }
        sandboxes
    }

    /// Whose a claim is. A Sandbox that owns it, or whose name its label has, but that uses another claim by now, has
    /// been switched away from it. The label of one that has an owner says nothing: that may be an earlier namesake.
    pub(super) fn user_of(&self, claim: &'a PersistentVolumeClaim) -> User<'a> {
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let mut owners = claim
            .owner_references()
            .iter()
            .filter(|owner| owner.kind == "Sandbox" && owner.api_version.starts_with("agenttier.io/"))
            .peekable();
        let owns_it = owners.peek().is_some();
        if let Some(sandbox) = self.of_claim.get(&(namespace, name)) {
            let ties = Ties { named_by_sandbox: true, owned_by_sandbox: owns_it, ..Ties::default() };
            return User { sandbox: Some(sandbox), ties, ..User::default() };
        }
        let owner = owners.find_map(|owner| self.of_uid.get(owner.uid.as_str()).copied());
        let labelled = || {
            let label = claim.labels().get(SANDBOX_LABEL)?;
            let sandbox = self.named.get(&(namespace, label.as_str())).copied()?;
            sandbox.claim().is_some().then_some(sandbox)
        };
        let sandbox = if owns_it { owner } else { labelled() };
        User::that_left(sandbox, Ties { owned_by_sandbox: owns_it, ..Ties::default() })
    }

    /// Whose a claim was that says so itself no more, or never did, by the newest recovery point of it.
    pub(super) fn user_by(&self, namespace: &str, newest: &VolumeSnapshot) -> User<'a> {
        let sandbox = self.former_user(namespace, newest).filter(|sandbox| sandbox.claim().is_some());
        User::that_left(sandbox, Ties { used_by_sandbox: sandbox.is_some(), ..Ties::default() })
    }

    /// Who used the volume that a snapshot of ours is of, if that Sandbox lives.
    pub(super) fn former_user(&self, namespace: &str, snapshot: &VolumeSnapshot) -> Option<&'a Sandbox> {
        let annotation =
            |key: &str| snapshot.annotations().get(key).map(String::as_str).filter(|v| !v.is_empty());
        match annotation(marks::SANDBOX_UID) {
            Some(uid) => self.of_uid.get(uid).copied(),
            None => self.named.get(&(namespace, annotation(marks::SANDBOX)?)).copied(),
        }
    }
}

/// A Sandbox as the planner sees it.
pub(super) fn sandbox_ref(sandbox: &Sandbox) -> SandboxRef {
    let annotation = |key: &str| sandbox.annotations().get(key).cloned();
    let status = sandbox.status.as_ref();
    SandboxRef {
        name: sandbox.name_any(),
        uid: sandbox.uid().unwrap_or_default(),
        phase: sandbox.phase().to_owned(),
        last_activity: status.and_then(|status| status.last_activity_timestamp.as_ref()).map(|time| time.0),
        record: None,
        overrides: Overrides {
            enabled: annotation(marks::OVERRIDE_ENABLED),
            interval: annotation(marks::OVERRIDE_INTERVAL),
            retention: annotation(marks::OVERRIDE_RETENTION),
            keep_last: annotation(marks::OVERRIDE_KEEP_LAST),
        },
    }
}
