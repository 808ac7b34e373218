//! What keeps snapshots from being taken of a volume that is to be backed up.

use jiff::Timestamp;

use crate::class::class_for;
use crate::sight::Sight;
use crate::{AgentTierLoop, Notice, Policy, Reason, SnapshotClass, Volume};

/// The class that snapshots name, and what is to be known of it.
#[derive(Default)]
pub(crate) struct Class {
    pub(crate) name: Option<String>,
    pub(crate) notice: Option<Notice>,
}

/// The class to name, and what is in the way, if anything is.
///
/// Where whoever asks may not read classes, the one that the policy names is taken at its word.
pub(crate) fn obstacle(
    now: Timestamp,
    policy: &Policy,
    volume: &Volume,
    sight: &Sight,
    classes: Option<&[SnapshotClass]>,
) -> (Class, Option<Notice>) {
    let driver = volume.driver.as_deref().unwrap_or_default();
    let named = policy.classes.get(driver).or(policy.class.as_ref());
    let covered = agenttier_covers_until(policy, volume, sight).is_some_and(|until| now < until);
    let stands_back = covered.then(|| Notice {
        reason: Reason::AgentTierLoop,
        message: format!(
            "AgentTier's own backup loop takes snapshots of {}; turn it off there (optional.backup.snapshots.enabled in \
             AgentTier's values) to have this one do it",
            volume.claim
        ),
    });
    let Some(classes) = classes else {
        return (Class { name: named.cloned(), notice: None }, stands_back);
    };
    match class_for(policy, driver, classes) {
        Ok(class) => {
            let notice = class.retains.then(|| Notice {
                reason: Reason::ClassRetains,
                message: format!(
                    "VolumeSnapshotClass {} has deletionPolicy Retain: nothing taken with it is pruned, for that would \
                     orphan the storage's snapshots",
                    class.name
                ),
            });
            (Class { name: Some(class.name.clone()), notice }, stands_back)
        }
        Err(reason) => {
            let message = class_problem(reason, driver, named.map(String::as_str).unwrap_or_default());
            (Class::default(), stands_back.or(Some(Notice { reason, message })))
        }
    }
}

fn class_problem(reason: Reason, driver: &str, named: &str) -> String {
    match reason {
        Reason::UnknownClass => format!("there is no VolumeSnapshotClass {named}"),
        Reason::ClassOfOtherDriver => format!(
            "VolumeSnapshotClass {named} is not of driver {driver}; give this driver one of its own under \
             spec.snapshots.classes"
        ),
        Reason::TwoDefaultClasses => format!(
            "driver {driver} has more than one default VolumeSnapshotClass; leave one its annotation \
             snapshot.storage.kubernetes.io/is-default-class, or name one under spec.snapshots.classes"
        ),
        _ => format!(
            "driver {driver} has no default VolumeSnapshotClass; annotate one with \
             snapshot.storage.kubernetes.io/is-default-class=true, or name one under spec.snapshots.classes"
        ),
    }
}

/// Until when AgentTier's loop is left to do the work: it takes snapshots of the volume, and they do come.
///
/// What a Sandbox was switched away from is never left to it: its sweep goes by age, and there are no newer ones.
pub(crate) fn agenttier_covers_until(policy: &Policy, volume: &Volume, sight: &Sight) -> Option<Timestamp> {
    let since = sight.newest_of_agenttier.unwrap_or(volume.created);
    let covers = volume.agenttier_loop == AgentTierLoop::Covers && volume.switched_to.is_none();
    covers.then(|| since.checked_add(policy.objective()).unwrap_or(Timestamp::MAX))
}
