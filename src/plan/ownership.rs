//! Whose a VolumeSnapshot is. The one place that says "ours".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{VolumeUid, marks};

/// Who made a VolumeSnapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Ownership {
    /// We did, of the volume with this UID.
    Ours {
        /// UID of the claim whose data it holds.
        volume: VolumeUid,
    },
    /// AgentTier's backup loop or its REST API did; nothing tells the two apart.
    AgentTier,
    /// Somebody else did, or it cannot be proved that we did.
    Foreign(Foreign),
}

/// Why a VolumeSnapshot is nobody's business of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Foreign {
    /// It carries a label of Velero's.
    Velero,
    /// AgentTier made it to clone a Sandbox.
    Clone,
    /// AgentTier made it when a Sandbox stopped, or it has another kind of AgentTier's.
    OtherKind,
    /// It claims to be ours, but its marks do not fit its source.
    MarksDoNotFit,
    /// It has no mark that we know.
    Unmarked,
}

/// Says whose a VolumeSnapshot is, from its labels, annotations and
/// `spec.source.persistentVolumeClaimName`.
///
/// Ours are only those with our managed-by label, a volume UID, and a source that is the very
/// claim they name. A label of Velero's, of a clone or of an on-stop snapshot outweighs our marks:
/// Velero copies labels, and so may others.
#[must_use]
pub fn ownership(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    source_claim: Option<&str>,
) -> Ownership {
    let label = |key: &str| labels.get(key).map(String::as_str);
    let annotation = |key: &str| annotations.get(key).map(String::as_str).filter(|value| !value.is_empty());

    // Velero's opt-out is a user's word *to* Velero, and ours; any other label is Velero's own.
    if labels.keys().any(|key| key.starts_with(marks::VELERO_PREFIX) && key != marks::VELERO_EXCLUDE) {
        return Ownership::Foreign(Foreign::Velero);
    }
    if label(marks::CLONE_TARGET).is_some() || label(marks::SOURCE_SANDBOX).is_some() {
        return Ownership::Foreign(Foreign::Clone);
    }
    let kind = label(marks::SNAPSHOT_KIND);
    if kind.is_some_and(|kind| kind != marks::SCHEDULED_BACKUP) {
        return Ownership::Foreign(Foreign::OtherKind);
    }
    if label(marks::MANAGED_BY) == Some(marks::US) {
        return match (annotation(marks::VOLUME_UID), annotation(marks::CLAIM), source_claim) {
            (Some(uid), Some(claim), Some(source)) if claim == source => {
                Ownership::Ours { volume: VolumeUid::new(uid) }
            }
            _ => Ownership::Foreign(Foreign::MarksDoNotFit),
        };
    }
    if kind.is_some() { Ownership::AgentTier } else { Ownership::Foreign(Foreign::Unmarked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn our_labels() -> BTreeMap<String, String> {
        map(&[
            (marks::MANAGED_BY, marks::US),
            (marks::SNAPSHOT_KIND, marks::SCHEDULED_BACKUP),
            (marks::MANAGED, "true"),
            (marks::VELERO_EXCLUDE, "true"),
        ])
    }

    fn our_annotations() -> BTreeMap<String, String> {
        map(&[(marks::VOLUME_UID, "u1"), (marks::CLAIM, "s1-workspace")])
    }

    #[test]
    fn ours_is_what_carries_every_mark_and_fits_its_source() {
        let found = ownership(&our_labels(), &our_annotations(), Some("s1-workspace"));
        assert_eq!(found, Ownership::Ours { volume: VolumeUid::new("u1") });
    }

    #[test]
    fn a_missing_or_wrong_mark_makes_it_foreign() {
        let misfit = Ownership::Foreign(Foreign::MarksDoNotFit);
        let (labels, annotations) = (our_labels(), our_annotations());
        assert_eq!(ownership(&labels, &annotations, Some("other")), misfit, "another source");
        assert_eq!(ownership(&labels, &annotations, None), misfit, "no claim as its source");
        let without_uid = map(&[(marks::CLAIM, "s1-workspace")]);
        assert_eq!(ownership(&labels, &without_uid, Some("s1-workspace")), misfit);
        let empty_uid = map(&[(marks::CLAIM, "s1-workspace"), (marks::VOLUME_UID, "")]);
        assert_eq!(ownership(&labels, &empty_uid, Some("s1-workspace")), misfit);
    }

    #[test]
    fn labels_of_others_outweigh_our_marks() {
        let cases = [
            ("velero.io/backup-name", "b", Foreign::Velero),
            ("velero.io/restore-name", "r", Foreign::Velero),
            (marks::CLONE_TARGET, "s2", Foreign::Clone),
            (marks::SOURCE_SANDBOX, "s1", Foreign::Clone),
            (marks::SNAPSHOT_KIND, "on-stop", Foreign::OtherKind),
        ];
        for (key, value, why) in cases {
            let mut labels = our_labels();
            labels.insert(key.into(), value.into());
            assert_eq!(
                ownership(&labels, &our_annotations(), Some("s1-workspace")),
                Ownership::Foreign(why),
                "{key}"
            );
        }
    }

    #[test]
    fn a_scheduled_backup_without_our_mark_is_agenttiers() {
        let labels = map(&[(marks::SNAPSHOT_KIND, marks::SCHEDULED_BACKUP), (marks::MANAGED, "true")]);
        assert_eq!(ownership(&labels, &our_annotations(), Some("s1-workspace")), Ownership::AgentTier);
        let unmarked = ownership(&map(&[]), &our_annotations(), Some("s1-workspace"));
        assert_eq!(unmarked, Ownership::Foreign(Foreign::Unmarked));
    }
}
