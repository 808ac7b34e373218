//! Which VolumeSnapshotClass a snapshot names.

use serde::Serialize;

use crate::{Policy, Reason};

/// A VolumeSnapshotClass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotClass {
    /// Its name.
    pub name: String,
    /// The CSI driver that it is of.
    pub driver: String,
    /// It carries `snapshot.storage.kubernetes.io/is-default-class=true`.
    pub is_default: bool,
    /// Its `deletionPolicy` is Retain: the storage's snapshot outlives the object.
    pub retains: bool,
}

/// The class for volumes of a driver: the one that the policy names for the driver, else the one that it names for all,
/// else the driver's default. It is named outright, so that no later default changes what was planned.
///
/// # Errors
/// The reason why there is none.
pub(crate) fn class_for<'c>(
    policy: &Policy,
    driver: &str,
    classes: &'c [SnapshotClass],
) -> Result<&'c SnapshotClass, Reason> {
    if let Some(name) = policy.classes.get(driver).or(policy.class.as_ref()) {
        let class = classes.iter().find(|class| class.name == *name).ok_or(Reason::UnknownClass)?;
        return if class.driver == driver { Ok(class) } else { Err(Reason::ClassOfOtherDriver) };
    }
    let mut defaults = classes.iter().filter(|class| class.driver == driver && class.is_default);
    match (defaults.next(), defaults.next()) {
        (Some(class), None) => Ok(class),
        (None, _) => Err(Reason::NoDefaultClass),
        (Some(_), Some(_)) => Err(Reason::TwoDefaultClasses),
    }
}
