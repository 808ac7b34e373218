//! The shape of verdicts as JSON: scripts read it from `plan -o json` and `list -o json`.

use std::collections::BTreeSet;

use agenttier_backup_plan::{ActionKind, Foreign, Governance, Keep, Keeper, Protection, Reason, Spent};
use agenttier_backup_plan::{Fate, Policy};
use serde::Serialize;
use serde_json::{Value, json};

use crate::world::{NOW, decide, failing, hours, policy, ready, sandbox, slot_start, unready, volume, with};

fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn a_verdict() {
    let mut volume = volume("s1");
    volume.sandbox = Some(sandbox("s1", "Running"));
    let mut failed = unready(&volume, "failed", NOW - hours(30));
    failed.error = Some("no such class".into());
    let points = [ready(&volume, "new", NOW - hours(20)), ready(&volume, "old", NOW - hours(400)), failed];
    let volume = with(volume, points);
    let policy = Policy { class: Some("fast".into()), ..policy() };
    let held = failing("s1", ActionKind::TakeSnapshot, Reason::QuotaExceeded, NOW + hours(1));
    let verdict = to_json(decide(NOW, &Governance::By(policy.clone()), &volume, &held));

    let id = json!({ "namespace": "team-a", "claim": "s1-workspace", "uid": "s1" });
    let slot = slot_start(&policy, &volume, NOW);
    let expected = json!({
        "volume": id,
        "sandbox": "s1",
        "policy": "default",
        "driver": "dir.csi",
        "interval": "PT6H",
        "retention": {
            "maxAge": "PT336H", "keepLast": 1, "maxCount": null,
            "thin": { "daily": null, "weekly": null, "monthly": null },
        },
        "protection": { "state": "Overdue", "newest": "2023-11-14T02:13:20Z", "reason": "QuotaExceeded" },
        "points": [
            {
                "name": "new", "takenAt": "2023-11-14T02:13:20Z", "readiness": "Ready", "error": null,
                "ours": true, "terminating": false, "stuck": false, "fate": "Keep", "reason": "Newest",
            },
            {
                "name": "failed", "takenAt": "2023-11-13T16:13:20Z", "readiness": "Failed",
                "error": "no such class", "ours": true, "terminating": false, "stuck": false,
                "fate": "Prune", "reason": "Failed", "keeper": { "name": "new", "uid": "uid-of-new" },
            },
            {
                "name": "old", "takenAt": "2023-10-29T06:13:20Z", "readiness": "Ready", "error": null,
                "ours": true, "terminating": false, "stuck": false,
                "fate": "Prune", "reason": "PastRetention", "keeper": { "name": "new", "uid": "uid-of-new" },
            },
        ],
        "wants": [
            {
                "action": "Prune", "volume": id, "name": "old", "uid": "uid-of-old", "version": "7",
                "takenAt": "2023-10-29T06:13:20Z", "reason": "PastRetention", "early": false,
                "keeper": { "name": "new", "uid": "uid-of-new" },
            },
            {
                "action": "Prune", "volume": id, "name": "failed", "uid": "uid-of-failed", "version": "7",
                "takenAt": "2023-11-13T16:13:20Z", "reason": "Failed", "early": false,
                "keeper": { "name": "new", "uid": "uid-of-new" },
            },
            {
                "action": "TakeSnapshot", "volume": id,
                "name": format!("s1-workspace-backup-{}", slot.as_second()),
                "slot": slot, "class": "fast",
                "sandbox": {
                    "name": "s1", "uid": "uid-of-s1", "phase": "Running", "lastActivity": "2023-11-12T22:13:20Z",
                },
                "policy": "default",
                "retention": {
                    "maxAge": "PT336H", "keepLast": 1, "maxCount": null,
                    "thin": { "daily": null, "weekly": null, "monthly": null },
                },
                "atRestSince": null, "afterSwitch": false, "hiddenFromAgenttier": false,
                "exposedSince": "2023-11-14T02:13:20Z",
            },
        ],
        "failedSnapshots": 0,
        "setbacks": {
            "TakeSnapshot": {
                "reason": "QuotaExceeded", "message": "the API server's own words",
                "since": "2023-11-14T22:13:20Z",
            },
        },
        "unchanged": false,
        "notices": [],
        "wake": verdict["wake"],
    });
    assert_eq!(verdict, expected, "{verdict:#}");
    assert!(verdict["wake"].is_string(), "{verdict:#}");
}

#[test]
fn every_protection_names_its_state_and_its_reason() {
    let (newest, reason) = (Some(NOW), Reason::PolicyUnknown);
    let at = "2023-11-14T22:13:20Z";
    for (protection, expected) in [
        (Protection::Protected { newest: NOW }, json!({ "state": "Protected", "newest": at })),
        (
            Protection::Awaited { by: NOW, reason: Reason::DriverBusy },
            json!({ "state": "Awaited", "by": at, "reason": "DriverBusy" }),
        ),
        (
            Protection::Unprotected { reason: Reason::NotCsi },
            json!({ "state": "Unprotected", "reason": "NotCsi" }),
        ),
        (
            Protection::Retired { newest: None, reason: Reason::ClaimGone },
            json!({ "state": "Retired", "newest": null, "reason": "ClaimGone" }),
        ),
        (
            Protection::Unknown { newest, reason },
            json!({ "state": "Unknown", "newest": at, "reason": "PolicyUnknown" }),
        ),
    ] {
        assert_eq!(to_json(protection), expected);
    }
}

#[test]
fn every_fate_names_its_reason_and_what_belongs_to_it() {
    let readers: BTreeSet<String> = ["c1".to_owned()].into();
    let keeper = Keeper { name: "k".into(), uid: "u".into() };
    for (fate, expected) in [
        (Fate::Keep(Keep::Newest), json!({ "fate": "Keep", "reason": "Newest" })),
        (Fate::Keep(Keep::KeepLast), json!({ "fate": "Keep", "reason": "KeepLast" })),
        (
            Fate::Keep(Keep::Young { until: NOW }),
            json!({ "fate": "Keep", "reason": "Young", "until": "2023-11-14T22:13:20Z" }),
        ),
        (Fate::Keep(Keep::Pinned), json!({ "fate": "Keep", "reason": "Pinned" })),
        (
            Fate::Keep(Keep::ReadBy { readers }),
            json!({ "fate": "Keep", "reason": "ReadBy", "readers": ["c1"] }),
        ),
        (Fate::Keep(Keep::NotReady), json!({ "fate": "Keep", "reason": "NotReady" })),
        (Fate::Keep(Keep::OtherVolume), json!({ "fate": "Keep", "reason": "OtherVolume" })),
        (Fate::Keep(Keep::AgentTiers), json!({ "fate": "Keep", "reason": "AgentTiers" })),
        (
            Fate::Keep(Keep::Foreign { mark: Foreign::Velero }),
            json!({ "fate": "Keep", "reason": "Foreign", "mark": "Velero" }),
        ),
        (Fate::Keep(Keep::Leaving), json!({ "fate": "Keep", "reason": "Leaving" })),
        (Fate::Keep(Keep::PruningHeld), json!({ "fate": "Keep", "reason": "PruningHeld" })),
        (Fate::Keep(Keep::VolumeGone), json!({ "fate": "Keep", "reason": "VolumeGone" })),
        (Fate::Keep(Keep::VolumeAbandoned), json!({ "fate": "Keep", "reason": "VolumeAbandoned" })),
        (
            Fate::Prune { reason: Spent::PastRetention, keeper: Some(keeper) },
            json!({ "fate": "Prune", "reason": "PastRetention", "keeper": { "name": "k", "uid": "u" } }),
        ),
        (Fate::Unknown, json!({ "fate": "Unknown" })),
    ] {
        assert_eq!(to_json(fate), expected);
    }
}
