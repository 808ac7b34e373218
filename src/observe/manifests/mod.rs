//! What manifest files say, in place of a cluster.
//!
//! What only an API server or a storage would add is made up, and said: a UID, a time of creation, a bound volume.

mod complete;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use read::{ManifestError, objects};

use super::agenttier_loop::CONTROLLERS;
use super::survey::{Listed, Survey};
use crate::api::BackupPolicy;
use crate::crds::{Change, differences};

/// The label that an API server gives to every namespace: its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Objects by API group and kind, and of a kind by namespace and name.
type Kinds = BTreeMap<(String, String), BTreeMap<(Option<String>, String), Value>>;

/// What was read out of files.
#[derive(Debug, Default)]
struct Manifests {
    kinds: Kinds,
    notes: Vec<String>,
}

/// The namespace of objects that name none, and the moment at which those that say no time of creation were created.
#[derive(Debug, Clone)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The moment.
    pub now: Timestamp,
}

impl Survey {
    /// What these objects are, as if they were a cluster; and what had to be made up or left out, a sentence each.
    #[must_use]
    pub fn of_manifests(objects: Vec<Value>, place: &Place) -> (Self, Vec<String>) {
        let mut manifests = Manifests::default();
        for object in objects {
            manifests.add(object, place);
        }
        let mut survey = Self::default();
        survey.observed.claims = manifests.take(&mut survey);
        survey.observed.persistent_volumes = manifests.take(&mut survey);
        survey.observed.sandboxes = manifests.take(&mut survey);
        survey.observed.snapshots = manifests.take(&mut survey);
        manifests.strangers_in_policies();
        survey.observed.policies = manifests.take(&mut survey);
        survey.observed.namespaces = manifests.take(&mut survey);
        survey.observed.attachments = Some(manifests.take(&mut survey));
        survey.observed.deployments = manifests.take(&mut survey);
        let is_controller = |deployment: &Deployment| {
            CONTROLLERS
                .split_once('=')
                .is_some_and(|(key, value)| deployment.labels().get(key).is_some_and(|found| found == value))
        };
        survey.observed.deployments.retain(|deployment| is_controller(deployment));
        survey.schedules = manifests.take(&mut survey);
        // Without any it is not known which there are.
        let classes = manifests.take(&mut survey);
        survey.observed.classes = Some(classes).filter(|classes| !classes.is_empty());
        for ((group, kind), left) in &manifests.kinds {
            let kind = if group.is_empty() { kind.clone() } else { format!("{kind}.{group}") };
            manifests
                .notes
                .push(format!("{} of kind {kind} left out: it decides nothing", counted(left.len())));
        }
        complete::complete(&mut survey.observed, place, &mut manifests.notes);
        (survey, manifests.notes)
    }

    /// Leaves out what is in other namespaces.
    pub fn narrow(&mut self, namespace: &str) {
        fn keep<K: ResourceExt>(objects: &mut Vec<std::sync::Arc<K>>, namespace: &str) {
            objects.retain(|object| object.namespace().as_deref() == Some(namespace));
        }
        keep(&mut self.observed.claims, namespace);
        keep(&mut self.observed.sandboxes, namespace);
        keep(&mut self.observed.snapshots, namespace);
        self.observed.namespaces.retain(|object| object.name_any() == namespace);
    }
}

/// `1 object`, `2 objects`.
fn counted(count: usize) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

impl Manifests {
    fn add(&mut self, mut object: Value, place: &Place) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let (Some(version), Some(kind)) = (text("/apiVersion"), text("/kind")) else {
            self.notes.push("left out: something without apiVersion and kind".to_owned());
            return;
        };
        let Some(name) = text("/metadata/name") else {
            self.notes.push(format!("left out: a {kind} without a name"));
            return;
        };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let is_clusters = matches!(
            (group, kind.as_str()),
            ("", "Namespace" | "PersistentVolume")
                | (crate::api::GROUP, "BackupPolicy")
                | (crate::csi::GROUP, "VolumeSnapshotClass")
                | ("storage.k8s.io", "VolumeAttachment")
        );
        let namespace =
            (!is_clusters).then(|| text("/metadata/namespace").unwrap_or_else(|| place.namespace.clone()));
        if let Some(namespace) = &namespace {
            object["metadata"]["namespace"] = Value::from(namespace.as_str());
        }
        complete::identify(&mut object, &kind, namespace.as_deref(), &name, place);
        let of_kind = self.kinds.entry((group.to_owned(), kind.clone())).or_default();
        if of_kind.insert((namespace, name.clone()), object).is_some() {
            self.notes.push(format!("{kind} {name} is given more than once: the last one counts"));
        }
    }

    fn take<K>(&mut self, survey: &mut Survey) -> Vec<std::sync::Arc<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let key = (K::group(&()).into_owned(), K::kind(&()).into_owned());
        let objects = self.kinds.remove(&key).unwrap_or_default();
        let objects = objects.into_values().filter_map(|object| {
            let read = serde_json::from_value::<DeserializeGuard<K>>(object);
            read.map_err(|error| survey.unreadable.push(format!("{}: {error}", key.1))).ok()
        });
        let objects = objects.collect();
        survey.note(Listed::Seen(objects))
    }

    /// A field that is misspelt would be refused, or dropped, by an API server; here it would go unnoticed.
    fn strangers_in_policies(&mut self) {
        let key = (BackupPolicy::group(&()).into_owned(), BackupPolicy::kind(&()).into_owned());
        for ((_, name), object) in self.kinds.get(&key).into_iter().flatten() {
            let Ok(policy) = serde_json::from_value::<BackupPolicy>(object.clone()) else { continue };
            let known = serde_json::to_value(&policy.spec).unwrap_or_default();
            let strangers = differences(&object["spec"], &known).into_iter();
            let strangers = strangers.filter(|difference| difference.change == Change::Removed);
            self.notes.extend(strangers.map(|stranger| {
                format!(
                    "BackupPolicy {name}: spec.{} is none of its fields, and counts for nothing",
                    stranger.field
                )
            }));
        }
    }
}

/// Namespaces that objects are in, or that are given.
fn namespaces_of<'a>(named: impl Iterator<Item = Option<&'a String>>) -> BTreeSet<String> {
    named.flatten().cloned().collect()
}

fn namespace(name: &str) -> Namespace {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespace
}
