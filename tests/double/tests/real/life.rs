//! A Sandbox from its first breath to its last.

use double::{NewSandbox, Phase};
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, networking::v1::NetworkPolicy};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use crate::place::{PATIENCE, Place, eventually};

/// A controller that is told to end before it has seen what is there would wait for that, and nobody looks any more.
#[tokio::test]
async fn one_that_has_just_started_stops_as_well() {
    let place = Place::shared("just-started").await;
    let stopped = tokio::time::timeout(PATIENCE, place.double().shutdown()).await;
    stopped.expect("it stops");
}

#[tokio::test]
async fn a_cold_start_makes_claim_policy_and_pod() {
    let place = Place::shared("cold-start").await;
    let double = place.double();
    let storage = json!({"size": "1Gi", "storageClass": testbed::STORAGE_CLASS, "shared": false});
    let created = place.user.create(NewSandbox::named("s1").spec(json!({"storage": storage}))).await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();

    assert_eq!(running.finalizers(), ["agenttier.io/sandbox-cleanup"]);
    let status = &running.data["status"];
    assert_eq!((&status["podName"], &status["pvcName"]), (&json!("s1-pod"), &json!("s1-workspace")));
    assert_eq!(status["startedAt"], status["lastActivityTimestamp"]);
    assert!(status["startedAt"].is_string(), "{status}");

    let claim = place.claims().get("s1-workspace").await.unwrap();
    assert_eq!(claim.labels()["agenttier.io/sandbox"], "s1");
    assert_eq!(claim.labels()["agenttier.io/managed"], "true");
    let owner = &claim.owner_references()[0];
    assert_eq!((&owner.uid, owner.controller), (&created.uid().unwrap(), Some(true)));
    assert_eq!(claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "1Gi");

    let pod = place.pods().get("s1-pod").await.unwrap();
    let volumes = pod.spec.unwrap().volumes.unwrap();
    assert!(volumes.iter().any(|volume| {
        volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == "s1-workspace")
    }));
    place.api::<NetworkPolicy>().get("s1-netpol").await.unwrap();
    double.shutdown().await;
}

#[tokio::test]
async fn stop_is_said_before_the_pod_is_gone_and_resume_finds_the_volume() {
    let place = Place::shared("stop-resume").await;
    let double = place.double();
    place.user.create(NewSandbox::named("s1")).await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    let volume = place.claims().get("s1-workspace").await.unwrap().uid();

    // The pod cannot go while this is on it, as on a node that is cut off.
    let hold = json!({"metadata": {"finalizers": ["test.example/hold"]}});
    place.pods().patch("s1-pod", &PatchParams::default(), &Patch::Merge(&hold)).await.unwrap();
    place.user.stop("s1").await.unwrap();
    let stopped = place.user.wait_phase("s1", Phase::Stopped).await.unwrap();
    let pod = place.pods().get("s1-pod").await.unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some());
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));

    assert!(!stopped.annotations().contains_key("agenttier.io/action"));
    let (before, after) = (&running.data["status"], &stopped.data["status"]);
    assert_eq!((&after["podName"], &after["startedAt"]), (&json!(null), &json!(null)));
    assert_eq!(after["pvcName"], "s1-workspace");
    assert_eq!(after["lastActivityTimestamp"], before["lastActivityTimestamp"]);

    let release = json!({"metadata": {"finalizers": null}});
    place.pods().patch("s1-pod", &PatchParams::default(), &Patch::Merge(&release)).await.unwrap();
    eventually("the pod gone", || async {
        place.pods().get_opt("s1-pod").await.unwrap().is_none().then_some(())
    })
    .await;
    place.user.resume("s1").await.unwrap();
    place.user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(place.claims().get("s1-workspace").await.unwrap().uid(), volume);
    double.shutdown().await;
}

#[tokio::test]
async fn a_stop_that_nobody_heard_is_replayed_on_the_next_start() {
    let place = Place::shared("late-stop").await;
    let double = place.double();
    place.user.create(NewSandbox::named("s1")).await.unwrap();
    place.user.wait_phase("s1", Phase::Running).await.unwrap();
    place.user.stop("s1").await.unwrap();
    place.user.wait_phase("s1", Phase::Stopped).await.unwrap();

    place.user.annotate_stop("s1").await.unwrap();
    place.user.resume("s1").await.unwrap();
    let stopped = place
        .user
        .wait_status("s1", "a second stop", |status| {
            status["phase"] == "Stopped" && status["message"] == "User requested stop"
        })
        .await
        .unwrap();
    assert!(!stopped.annotations().contains_key("agenttier.io/action"));
    double.shutdown().await;
}

#[tokio::test]
async fn a_lost_pod_comes_back() {
    let place = Place::shared("lost-pod").await;
    let double = place.double();
    place.user.create(NewSandbox::named("s1")).await.unwrap();
    place.user.wait_phase("s1", Phase::Running).await.unwrap();
    let lost = place.pods().get("s1-pod").await.unwrap();

    place.pods().delete("s1-pod", &DeleteParams::default()).await.unwrap();
    place
        .user
        .wait_status("s1", "a restart", |status| status["phase"] == "Running" && status["restartCount"] == 1)
        .await
        .unwrap();
    assert_ne!(place.pods().get("s1-pod").await.unwrap().uid(), lost.uid());
    double.shutdown().await;
}

#[tokio::test]
async fn an_idle_sandbox_stops_and_leaves_a_snapshot() {
    let place = Place::shared("idle").await;
    let double = place.double();
    let spec = json!({"idleTimeout": "2s", "storage": {"snapshotOnStop": true}});
    place.user.create(NewSandbox::named("s1").spec(spec)).await.unwrap();
    let stopped = place.user.wait_phase("s1", Phase::Stopped).await.unwrap();
    assert_eq!(stopped.data["status"]["message"], "Idle timeout exceeded");

    let snapshots = place.snapshots().list(&kube::api::ListParams::default()).await.unwrap().items;
    assert_eq!(snapshots.len(), 1);
    let snapshot = &snapshots[0];
    assert!(snapshot.name_any().starts_with("s1-stopsnap-"), "{}", snapshot.name_any());
    assert_eq!(snapshot.labels()["agenttier.io/snapshot-kind"], "on-stop");
    assert_eq!(snapshot.labels()["agenttier.io/sandbox"], "s1");
    assert!(snapshot.owner_references().is_empty());
    assert_eq!(snapshot.data["spec"]["source"]["persistentVolumeClaimName"], "s1-workspace");
    double.shutdown().await;
}

#[tokio::test]
async fn deletion_takes_what_status_names() {
    let place = Place::shared("deletion").await;
    let double = place.double();
    let manifest = |name: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        })
    };
    // Neither has an owner: only the name in status tells them apart.
    for claim in ["named-workspace", "forgotten-workspace"] {
        place.create::<PersistentVolumeClaim>(manifest(claim)).await;
    }
    for sandbox in ["named", "forgotten"] {
        place.user.create(NewSandbox::named(sandbox)).await.unwrap();
        place.user.wait_phase(sandbox, Phase::Running).await.unwrap();
    }
    place.user.set_status("forgotten", json!({"pvcName": null})).await.unwrap();

    for sandbox in ["named", "forgotten"] {
        place.user.delete(sandbox).await.unwrap();
        place.user.wait_gone(sandbox).await.unwrap();
    }
    eventually("the named claim gone", || async {
        place.claims().get_opt("named-workspace").await.unwrap().is_none().then_some(())
    })
    .await;
    let leaked = place.claims().get("forgotten-workspace").await.unwrap();
    assert!(leaked.metadata.deletion_timestamp.is_none());
    for sandbox in ["named", "forgotten"] {
        assert!(place.api::<NetworkPolicy>().get_opt(&format!("{sandbox}-netpol")).await.unwrap().is_none());
        eventually("the pod gone", || async {
            place.pods().get_opt(&format!("{sandbox}-pod")).await.unwrap().is_none().then_some(())
        })
        .await;
    }
    double.shutdown().await;
}
