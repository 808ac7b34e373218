//! What the API server thinks of policies.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec};
use agenttier_backup::observe::in_force;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::site::installed;

async fn written(spec: Value) -> kube::Result<BackupPolicy> {
    let kind = ApiResource::erase::<BackupPolicy>(&());
    let mut policy = DynamicObject::new("under-test", &kind);
    policy.data = json!({ "spec": spec });
    let api: Api<DynamicObject> = Api::all_with(installed().client(), &kind);
    let written = api.create(&PostParams { dry_run: true, ..PostParams::default() }, &policy).await?;
    Ok(written.try_parse().unwrap())
}

#[tokio::test]
async fn every_field_has_a_default() {
    for spec in [json!({}), json!({ "snapshots": {} }), json!({ "snapshots": { "retention": {} } })] {
        assert_eq!(written(spec).await.unwrap().spec, BackupPolicySpec::default());
    }
}

#[tokio::test]
async fn what_is_accepted_can_be_followed() {
    let snapshots = |interval: &str, max_age: &str| {
        json!({ "snapshots": {
            "interval": interval, "retention": { "maxAge": max_age },
        }})
    };
    for spec in [
        snapshots("10s", "10s"),
        snapshots("15m", "1h30m"),
        snapshots("24h", "1d"),
        snapshots("90m", "1w2d3h4m5s"),
        snapshots("1w", "168h"),
        snapshots("999999m", "999999w"),
        json!({ "suspend": true, "priority": -5 }),
        json!({ "maxSnapshots": 1, "overrides": { "minInterval": "1h", "maxRetention": "1w", "maxPoints": 1 } }),
        json!({ "snapshots": { "snapshotClassName": "fast", "classes": { "ebs.csi.aws.com": "slow" }}}),
        json!({ "snapshots": { "skipUnchanged": false, "retention": {
            "keepLast": 7, "maxCount": 7, "thin": { "daily": "2d", "weekly": "2w", "monthly": "60d" },
            "adoptAgentTier": true,
        }}}),
        json!({ "snapshots": { "retention": { "thin": { "weekly": "1d" } } } }),
        json!({ "namespaceSelector": { "matchExpressions": [
            { "key": "tier", "operator": "In", "values": ["gold"] },
            { "key": "team", "operator": "Exists" },
            { "key": "scratch", "operator": "DoesNotExist", "values": [] },
        ]}}),
    ] {
        let policy = written(spec.clone()).await.unwrap_or_else(|error| panic!("{spec}: {error}"));
        in_force(&policy).unwrap_or_else(|invalid| panic!("{spec}: {invalid}"));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let snapshots = |field: &str, value: Value| json!({ "snapshots": { field: value } });
    let retention = |field: &str, value: Value| snapshots("retention", json!({ field: value }));
    let thin = |field: &str, value: Value| retention("thin", json!({ field: value }));
    let overrides = |field: &str, value: Value| json!({ "overrides": { field: value } });
    let selector = |expression: Value| json!({ "namespaceSelector": { "matchExpressions": [expression] } });
    for (spec, field) in [
        (snapshots("interval", json!("0s")), "spec.snapshots.interval"),
        (snapshots("interval", json!("9s")), "spec.snapshots.interval"),
        (snapshots("interval", json!("soon")), "spec.snapshots.interval"),
        (snapshots("interval", json!("")), "spec.snapshots.interval"),
        (snapshots("interval", json!("6")), "spec.snapshots.interval"),
        (snapshots("interval", json!("-6h")), "spec.snapshots.interval"),
        (snapshots("interval", json!("30m1h")), "spec.snapshots.interval"),
        (snapshots("interval", json!(6)), "spec.snapshots.interval"),
        (snapshots("interval", json!("15d")), "spec.snapshots.retention.maxAge"),
        (retention("maxAge", json!("5h59m")), "spec.snapshots.retention.maxAge"),
        (retention("keepLast", json!(0)), "spec.snapshots.retention.keepLast"),
        (retention("keepLast", json!(1001)), "spec.snapshots.retention.keepLast"),
        (snapshots("readyTimeout", json!("1 hour")), "spec.snapshots.readyTimeout"),
        (retention("maxCount", json!(0)), "spec.snapshots.retention.maxCount"),
        (retention("maxCount", json!(10_001)), "spec.snapshots.retention.maxCount"),
        (
            snapshots("retention", json!({ "keepLast": 3, "maxCount": 2 })),
            "spec.snapshots.retention.maxCount",
        ),
        (thin("daily", json!("often")), "spec.snapshots.retention.thin.daily"),
        (thin("weekly", json!(7)), "spec.snapshots.retention.thin.weekly"),
        (thin("monthly", json!("1 month")), "spec.snapshots.retention.thin.monthly"),
        (retention("adoptAgentTier", json!("yes")), "spec.snapshots.retention.adoptAgentTier"),
        (snapshots("skipUnchanged", json!("no")), "spec.snapshots.skipUnchanged"),
        (snapshots("snapshotClassName", json!("x".repeat(254))), "spec.snapshots.snapshotClassName"),
        (snapshots("classes", json!({ "ebs.csi.aws.com": 1 })), "spec.snapshots.classes"),
        (snapshots("classes", json!(["slow"])), "spec.snapshots.classes"),
        (overrides("minInterval", json!("0s")), "spec.overrides.minInterval"),
        (overrides("minInterval", json!("soon")), "spec.overrides.minInterval"),
        (overrides("maxRetention", json!("for ever")), "spec.overrides.maxRetention"),
        (overrides("maxPoints", json!(0)), "spec.overrides.maxPoints"),
        (overrides("maxPoints", json!(10_001)), "spec.overrides.maxPoints"),
        (json!({ "maxSnapshots": 0 }), "spec.maxSnapshots"),
        (json!({ "maxSnapshots": -1 }), "spec.maxSnapshots"),
        (json!({ "maxSnapshots": 1_000_001 }), "spec.maxSnapshots"),
        (json!({ "priority": 1_000_001 }), "spec.priority"),
        (selector(json!({ "key": "tier", "operator": "Is" })), "operator"),
        (selector(json!({ "key": "tier", "operator": "In" })), "matchExpressions[0]"),
        (selector(json!({ "key": "tier", "operator": "Exists", "values": ["x"] })), "matchExpressions[0]"),
        (selector(json!({ "key": "", "operator": "Exists" })), "matchExpressions[0].key"),
    ] {
        let refusal = match written(spec.clone()).await {
            Err(kube::Error::Api(status)) if status.code == 422 => status.message,
            other => panic!("{spec}: {other:?}"),
        };
        assert!(refusal.contains(field), "{spec}: {refusal}");
    }
}
