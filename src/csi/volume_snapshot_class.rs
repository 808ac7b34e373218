//! The VolumeSnapshotClass kind.

use std::borrow::Cow;

use kube::Resource;
use kube::core::{ClusterResourceScope, ObjectMeta};
use serde::{Deserialize, Serialize};

/// On a class: it is its driver's default, value `true`.
pub const IS_DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";

/// How snapshots of a driver are taken. Written out rather than derived: it has no `spec`.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotClass {
    /// Name, annotations and the rest.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The CSI driver.
    #[serde(default)]
    pub driver: String,
    /// `Delete` or `Retain`: what becomes of the storage's snapshot when the object is deleted.
    #[serde(default)]
    pub deletion_policy: String,
}

impl Resource for VolumeSnapshotClass {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "VolumeSnapshotClass".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        super::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "volumesnapshotclasses".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl VolumeSnapshotClass {
    /// Its driver's default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        annotations
            .and_then(|annotations| annotations.get(IS_DEFAULT_CLASS))
            .is_some_and(|value| value == "true")
    }

    /// The storage's snapshot outlives the object.
    #[must_use]
    pub fn retains(&self) -> bool {
        self.deletion_policy == "Retain"
    }
}
