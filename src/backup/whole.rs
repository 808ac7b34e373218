//! Whether a backup by Velero that is Completed holds the volumes that it should: what Velero cannot snapshot it leaves out
//! without a word.

use kube::ResourceExt;
use velero::Backup;

use super::standing::Standing;
use crate::observe::Observed;
use crate::schedules::BoundClaims;

/// Where a backup is that Velero has completed, given the claims of its namespace and the volumes that there are now, as
/// the controller reckons; `None` where whoever asks may not see them. `state` is in Velero's words.
pub(super) fn completed(
    state: String,
    namespace: &str,
    backup: &Backup,
    seen: Option<&Observed>,
) -> Standing {
    let Some(observed) = seen else {
        return Standing::Good(format!(
            "{state}; whether it holds every volume cannot be told without the rights to list persistentvolumeclaims in \
             namespace {namespace}, and persistentvolumes"
        ));
    };
    let Some(missing) = BoundClaims::of(observed).missing(namespace, backup) else {
        return Standing::Good(state);
    };
    let volumes = match missing.bound - missing.saved {
        1 => "1 volume".to_owned(),
        more => format!("{more} volumes"),
    };
    let velero = backup.namespace().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    Standing::Bad {
        state: format!("Completed without {volumes} (VolumesMissing)"),
        why: format!(
            "{missing} `velero backup describe {}{velero} --details` lists those that it holds; make another one once that is \
             mended",
            missing.backup
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agenttier_backup_plan::marks::MANAGED;
    use serde_json::{Value, json};

    use super::*;

    /// Two workspaces that were bound long before.
    fn observed() -> Observed {
        let claim = |name: &str| {
            let claim = json!({
                "metadata": {
                    "name": name, "namespace": "team-a", "labels": { MANAGED: "true" },
                    "creationTimestamp": "2026-11-01T00:00:00Z",
                },
                "spec": { "volumeName": format!("pv-{name}") },
                "status": { "phase": "Bound" },
            });
            Arc::new(serde_json::from_value(claim).expect("a claim"))
        };
        let volume = |name: &str| {
            let volume = json!({
                "metadata": { "name": format!("pv-{name}"), "creationTimestamp": "2026-11-01T00:00:00Z" },
                "spec": { "csi": { "driver": "d", "volumeHandle": "v" } },
            });
            Arc::new(serde_json::from_value(volume).expect("a volume"))
        };
        Observed {
            claims: vec![claim("s1"), claim("s2")],
            persistent_volumes: vec![volume("s1"), volume("s2")],
            ..Observed::default()
        }
    }

    fn standing(status: &Value, seen: Option<&Observed>) -> Standing {
        let mut backup = json!({
            "metadata": { "name": "b1", "namespace": "velero" },
            "spec": {},
            "status": { "phase": "Completed", "startTimestamp": "2026-11-20T12:00:00Z" },
        });
        backup["status"].as_object_mut().expect("one").extend(status.as_object().expect("one").clone());
        let backup = serde_json::from_value(backup).expect("a Backup");
        completed("Completed".into(), "team-a", &backup, seen)
    }

    #[test]
    fn a_backup_without_the_volumes_is_not_good() {
        let observed = observed();
        let of =
            |snapshots: i64| standing(&json!({ "csiVolumeSnapshotsAttempted": snapshots }), Some(&observed));
        assert_eq!(of(2), Standing::Good("Completed".into()));
        let Standing::Bad { state, why } = of(1) else { panic!("one is missing") };
        assert_eq!(state, "Completed without 1 volume (VolumesMissing)");
        assert!(why.contains("of 2 bound volumes it holds 1: are they CSI volumes"), "{why}");
        assert!(why.contains("`velero backup describe b1 -n velero --details`"), "{why}");
        let Standing::Bad { state, .. } = standing(&json!({}), Some(&observed)) else { panic!("none") };
        assert_eq!(state, "Completed without 2 volumes (VolumesMissing)");
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let Standing::Good(state) = standing(&json!({}), None) else { panic!("who knows") };
        assert!(state.starts_with("Completed; ") && state.contains("persistentvolumes"), "{state}");
    }
}
