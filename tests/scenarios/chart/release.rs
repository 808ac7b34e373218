//! A release from its installation to its end.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, VeleroSpec};
use agenttier_backup::csi::VolumeSnapshot;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use testbed::{Cluster, STORAGE_CLASS, VELERO_NAMESPACE};

use super::site::{RELEASE, cluster, folder, install, installed};
use crate::place::eventually;

async fn policy(cluster: &Cluster) -> Option<BackupPolicySpec> {
    let policies = Api::<BackupPolicy>::all(cluster.client());
    policies.get_opt("default").await.unwrap().map(|policy| policy.spec)
}

/// A recovery point, ready to use.
async fn recovery_point(cluster: &Cluster) -> (Api<VolumeSnapshot>, VolumeSnapshot) {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": { "name": "s1-workspace" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "resources": { "requests": { "storage": "1Gi" } },
        },
    }))
    .unwrap();
    let claims = Api::<PersistentVolumeClaim>::namespaced(cluster.client(), "default");
    claims.create(&PostParams::default(), &claim).await.unwrap();
    let snapshot: VolumeSnapshot = serde_json::from_value(json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {
            "name": "s1-workspace-backup-1760000000",
            "labels": { "app.kubernetes.io/managed-by": "agenttier-backup" },
        },
        "spec": { "source": { "persistentVolumeClaimName": "s1-workspace" } },
    }))
    .unwrap();
    let snapshots = Api::<VolumeSnapshot>::namespaced(cluster.client(), "default");
    snapshots.create(&PostParams::default(), &snapshot).await.unwrap();
    let ready = eventually("a ready recovery point", || async {
        let snapshot = snapshots.get(&snapshot.name_any()).await?;
        Ok(snapshot.is_ready().then_some(snapshot))
    })
    .await;
    (snapshots, ready)
}

#[tokio::test]
async fn a_release_is_installed_changed_and_removed() {
    let cluster = cluster("chart").await;

    let notes = install(&cluster, &[]).await.unwrap();
    assert!(notes.contains("Nothing is backed up yet"), "{notes}");
    let crds = Api::<CustomResourceDefinition>::all(cluster.client());
    let crd = crds.get("backuppolicies.backup.agenttier.io").await.unwrap();
    assert!(is_crd_established().matches_object(Some(&crd)));
    assert_eq!(policy(&cluster).await, None, "nothing is backed up that nobody asked for");

    let enabled = "optional.backup.snapshots.enabled=true";
    let notes = install(&cluster, &["--set", enabled]).await.unwrap();
    assert!(notes.contains("Every sandbox workspace is snapshotted every 6 h"), "{notes}");
    // AgentTier's defaults, and ours for the rest.
    assert_eq!(policy(&cluster).await.unwrap(), BackupPolicySpec::default());
    let found = policy(&cluster).await.unwrap().snapshots;
    assert_eq!((found.interval, found.retention.max_age), ("6h".into(), "14d".into()));

    let other = "intervalHours=1,retentionDays=7,snapshotClassName=dir,keepLast=3,readyTimeout=30m"
        .split(',')
        .map(|value| format!("optional.backup.snapshots.{value}"))
        .collect::<Vec<_>>()
        .join(",");
    install(&cluster, &["--reuse-values", "--set", &other]).await.unwrap();
    let found = policy(&cluster).await.unwrap().snapshots;
    assert_eq!(
        (found.interval, found.retention.max_age, found.retention.keep_last, found.ready_timeout),
        ("1h".into(), "7d".into(), 3, "30m".into())
    );
    assert_eq!((found.enabled, found.snapshot_class_name.as_str()), (true, "dir"));

    let rest = "optional.backup.maxSnapshots=500,optional.backup.overrides.minInterval=1h,\
                optional.backup.snapshots.maxCount=9,optional.backup.snapshots.skipUnchanged=false,\
                optional.backup.snapshots.thin.daily=2d,optional.backup.snapshots.adoptAgentTier=true,\
                optional.backup.snapshots.classes.dir\\.csi=dir";
    install(&cluster, &["--reuse-values", "--set", rest]).await.unwrap();
    let found = policy(&cluster).await.unwrap();
    assert_eq!((found.max_snapshots, found.overrides.min_interval), (500, "1h".into()));
    let found = found.snapshots;
    assert_eq!((found.retention.max_count, found.retention.adopt_agent_tier), (Some(9), true));
    assert_eq!((found.retention.thin.daily, found.retention.thin.weekly), (Some("2d".into()), None));
    assert_eq!((found.skip_unchanged, found.classes["dir.csi"].as_str()), (false, "dir"));

    install(&cluster, &["--reuse-values", "--set", "optional.backup.snapshots.enabled=false"]).await.unwrap();
    assert_eq!(policy(&cluster).await, None);

    let namespace = serde_json::from_value(json!({ "metadata": { "name": VELERO_NAMESPACE } })).unwrap();
    Api::<Namespace>::all(cluster.client()).create(&PostParams::default(), &namespace).await.unwrap();
    let velero = "enabled=true,every=6h,ttl=14d,cron=30 2 * * *,timeZone=Europe/Berlin,storageLocation=offsite,\
                  moveData=true,csiSnapshotTimeout=20m,hooks.resources[0].name=flush,extraTemplate.itemOperationTimeout=6h"
        .split(',')
        .map(|value| format!("optional.backup.velero.{}", value.trim()))
        .collect::<Vec<_>>()
        .join(",");
    install(&cluster, &["--set", &velero]).await.unwrap();
    let object = |value: Value| value.as_object().unwrap().clone();
    let wanted = VeleroSpec {
        enabled: true,
        every: "6h".into(),
        ttl: "14d".into(),
        cron: "30 2 * * *".into(),
        time_zone: "Europe/Berlin".into(),
        storage_location: "offsite".into(),
        move_data: true,
        csi_snapshot_timeout: "20m".into(),
        hooks: object(json!({ "resources": [{ "name": "flush" }] })),
        extra_template: object(json!({ "itemOperationTimeout": "6h" })),
    };
    let found = policy(&cluster).await.unwrap();
    assert_eq!((found.velero, found.snapshots.enabled), (wanted, false));
    install(&cluster, &["--set", enabled]).await.unwrap();
    assert!(policy(&cluster).await.is_some());

    let policies = Api::<BackupPolicy>::all(cluster.client());
    let gold = BackupPolicy::new("gold", BackupPolicySpec::default());
    policies.create(&PostParams::default(), &gold).await.unwrap();
    let (snapshots, point) = recovery_point(&cluster).await;
    cluster.helm(&["uninstall", RELEASE, "-n", RELEASE, "--wait"]).await.unwrap();
    let kept = snapshots.get(&point.name_any()).await.unwrap();
    // The snapshot controller may write to it yet, for its finalizers.
    let ours = |point: &VolumeSnapshot| {
        let ObjectMeta { uid, labels, annotations, deletion_timestamp, .. } = point.metadata.clone();
        (uid, labels, annotations, deletion_timestamp)
    };
    assert_eq!(ours(&kept), ours(&point), "recovery points stay, untouched");
    assert!(crds.get_opt("backuppolicies.backup.agenttier.io").await.unwrap().is_some());
    let left = policies.list(&ListParams::default()).await.unwrap();
    let left: Vec<_> = left.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["gold"], "the chart's own policy goes, a user's stays");

    cluster.stop().await.unwrap();
}

async fn deployment() -> Deployment {
    let deployments = Api::<Deployment>::namespaced(installed().client(), RELEASE);
    deployments.get(RELEASE).await.unwrap()
}

#[tokio::test]
async fn the_controller_runs_twice_and_as_a_restricted_pod() {
    let spec = deployment().await.spec.unwrap();
    assert_eq!(spec.replicas, Some(2));

    let pods = Api::<Pod>::namespaced(installed().client(), RELEASE);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let mut pod = Pod { spec: spec.template.spec, ..Pod::default() };
    pod.metadata.name = Some("controller".into());
    assert_eq!(pod.spec.as_ref().unwrap().service_account_name.as_deref(), Some(RELEASE));
    pods.create(&dry_run, &pod).await.expect("the namespace takes restricted pods");

    pod.spec.as_mut().unwrap().containers[0].security_context = None;
    let refusal = pods.create(&dry_run, &pod).await.unwrap_err().to_string();
    assert!(refusal.contains("violates PodSecurity"), "the namespace refuses others: {refusal}");
}

#[tokio::test]
async fn the_controller_knows_what_it_is_given() {
    let chart = folder("chart").display().to_string();
    let velero = "optional.backup.velero.enabled=true,optional.backup.velero.clusterName=east";
    let mut args = vec!["template", RELEASE, &chart, "-n", RELEASE, "--kube-version", "1.33"];
    args.extend(["-s", "templates/deployment.yaml", "--set", velero]);
    args.extend(["--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"]);
    let rendered = installed().helm(&args).await.unwrap();
    let rendered: Deployment = serde_saphyr::from_str(&rendered).unwrap();
    let mut pod = rendered.spec.unwrap().template.spec.unwrap();
    let container = pod.containers.remove(0);
    assert_eq!(container.args.unwrap(), ["controller"]);
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_agenttier-backup"))
        .args(["controller", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let given: Vec<_> = container.env.unwrap().into_iter().map(|variable| variable.name).collect();
    for name in &given {
        assert!(help.contains(&format!("[env: {name}=")), "{name} is no setting of the controller:\n{help}");
    }
    let known = help.matches("[env: ").count();
    assert_eq!(given.len(), known, "the chart gives every setting, {given:?} of\n{help}");
}
