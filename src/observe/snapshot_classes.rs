//! VolumeSnapshotClass → [`SnapshotClass`].

use agenttier_backup_plan::SnapshotClass;
use kube::ResourceExt;

use super::Observed;
use crate::csi::VolumeSnapshotClass;

/// Every class, by name; `None` where they could not be read.
pub(super) fn snapshot_classes(observed: &Observed) -> Option<Vec<SnapshotClass>> {
    let mut classes: Vec<SnapshotClass> =
        observed.classes.as_ref()?.iter().map(|class| snapshot_class(class)).collect();
    classes.sort_by(|a, b| a.name.cmp(&b.name));
    Some(classes)
}

fn snapshot_class(class: &VolumeSnapshotClass) -> SnapshotClass {
    SnapshotClass {
        name: class.name_any(),
        driver: class.driver.clone(),
        is_default: class.is_default(),
        retains: class.retains(),
    }
}
