//! Values that make no sense are refused before anything is installed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::site::{RELEASE, folder, install, installed};

/// What helm says to values that are to be refused.
async fn refusal(values: &[&str]) -> String {
    let args = [&["--dry-run=server"], values].concat();
    install(installed(), &args).await.expect_err(&format!("{values:?} is accepted")).to_string()
}

#[tokio::test]
async fn wrong_values_are_refused_by_name() {
    for (value, field) in [
        ("optional.backup.snapshots.enabled=maybe", "/optional/backup/snapshots/enabled"),
        ("optional.backup.snapshots.intervalHours=0", "/optional/backup/snapshots/intervalHours"),
        ("optional.backup.snapshots.intervalHours=6h", "/optional/backup/snapshots/intervalHours"),
        ("optional.backup.snapshots.intervalHours=1.5", "/optional/backup/snapshots/intervalHours"),
        ("optional.backup.snapshots.retentionDays=0", "/optional/backup/snapshots/retentionDays"),
        ("optional.backup.snapshots.keepLast=0", "/optional/backup/snapshots/keepLast"),
        ("optional.backup.snapshots.maxCount=-1", "/optional/backup/snapshots/maxCount"),
        ("optional.backup.snapshots.thin.daily=soon", "/optional/backup/snapshots/thin/daily"),
        ("optional.backup.snapshots.skipUnchanged=often", "/optional/backup/snapshots/skipUnchanged"),
        ("optional.backup.overrides.minInterval=0s", "/optional/backup/overrides/minInterval"),
        ("optional.backup.maxSnapshots=0", "/optional/backup/maxSnapshots"),
        ("optional.backup.snapshots.readyTimeout=soon", "/optional/backup/snapshots/readyTimeout"),
        ("optional.backup.snapshots.snapshotClassName=1", "/optional/backup/snapshots/snapshotClassName"),
        ("optional.backup.snapshots.intervalHour=3", "additional properties 'intervalHour'"),
        ("snapshots.enabled=true", "additional properties 'snapshots'"),
        ("optional.backup.velero.every=5h", "/optional/backup/velero/every"),
        ("optional.backup.velero.ttl=soon", "/optional/backup/velero/ttl"),
        ("optional.backup.velero.clusterName=East", "/optional/backup/velero/clusterName"),
        ("optional.backup.velero.namespace=", "/optional/backup/velero/namespace"),
        ("optional.backup.velero.readErrors=often", "/optional/backup/velero/readErrors"),
        ("replicas=-1", "/replicas"),
        ("controller.callsAtOnce=0", "/controller/callsAtOnce"),
        ("controller.metricsAddress=8081", "/controller/metricsAddress"),
        ("metrics.serviceMonitor.interval=often", "/metrics/serviceMonitor/interval"),
        ("log.format=xml", "/log/format"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ] {
        let said = refusal(&["--set", value]).await;
        assert!(
            said.contains("don't meet the specifications of the schema") && said.contains(field),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_interval_above_the_retention_is_refused() {
    let values =
        ["intervalHours=48", "retentionDays=1"].map(|value| format!("optional.backup.snapshots.{value}"));
    let said =
        refusal(&["--set", "optional.backup.snapshots.enabled=true", "--set", &values.join(",")]).await;
    assert!(said.contains("retentionDays is shorter than intervalHours"), "{said}");
}

/// What came after the first release's values.
const LATER: [&str; 11] = [
    "optional.backup.snapshots.maxCount",
    "optional.backup.snapshots.thin",
    "optional.backup.snapshots.adoptAgentTier",
    "optional.backup.snapshots.classes",
    "optional.backup.snapshots.skipUnchanged",
    "optional.backup.velero",
    "optional.backup.overrides",
    "optional.backup.maxSnapshots",
    "controller.metricsAddress",
    "metrics",
    "crds",
];

/// An upgrade with --reuse-values has the values of the release before, and those that came later are missing. They are as in
/// values.yaml then.
#[tokio::test]
async fn values_of_an_older_release_mean_what_they_meant() {
    let guard = ["--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"];
    let rendered = async |values: &[String]| {
        let chart = folder("chart").display().to_string();
        let mut args =
            vec!["template", RELEASE, &chart, "-n", RELEASE, "--kube-version", "1.33", "--is-upgrade"];
        args.extend(guard);
        args.extend(values.iter().flat_map(|value| ["--set", value.as_str()]));
        installed().helm(&args).await.unwrap()
    };
    let without = |keys: &[&str], on: &str| -> Vec<String> {
        std::iter::once(on.to_owned()).chain(keys.iter().map(|key| format!("{key}=null"))).collect()
    };
    let snapshots = "optional.backup.snapshots.enabled=true";
    let usual = rendered(&without(&[], snapshots)).await;
    assert!(usual.contains("maxSnapshots: 15000") && usual.contains("kind: Job"), "{usual}");
    assert_eq!(rendered(&without(&LATER, snapshots)).await, usual);
    for key in LATER {
        assert_eq!(rendered(&without(&[key], snapshots)).await, usual, "{key}");
    }

    // Velero turned on in the very upgrade that brings it.
    let values = std::fs::read_to_string(folder("chart/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    let keys = values["optional"]["backup"]["velero"].as_object().unwrap().keys();
    let keys: Vec<String> =
        keys.filter(|key| *key != "enabled").map(|key| format!("optional.backup.velero.{key}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let velero = "optional.backup.velero.enabled=true";
    let usual = rendered(&without(&[], velero)).await;
    assert!(usual.contains("namespace: velero\n") && usual.contains("READ_BACKUP_ERRORS"), "{usual}");
    assert_eq!(rendered(&without(&keys, velero)).await, usual);
    let told = [&["--dry-run=server".to_owned()][..], &set(&without(&keys, velero))].concat();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    let told = install(installed(), &told).await.unwrap();
    for line in [
        "Velero, in namespace velero, makes a backup of every namespace that holds sandboxes, every 1d, and keeps it for 30d.",
        "kubectl delete schedules.velero.io -n velero -l app.kubernetes.io/managed-by=agenttier-backup",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

fn set(values: &[String]) -> Vec<String> {
    values.iter().flat_map(|value| ["--set".to_owned(), value.clone()]).collect()
}

#[test]
fn schema_and_values_name_the_same_keys() {
    let read = |file: &str| std::fs::read_to_string(folder("chart").join(file)).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    compare("", &values, &schema);
}

fn compare(path: &str, values: &Value, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
    let values = values.as_object().unwrap_or_else(|| panic!("{path} is a map"));
    assert_eq!(keys(values), keys(properties), "{path}");
    for (key, value) in values {
        compare(&format!("{path}/{key}"), value, &properties[key]);
    }
}
