//! The warm pool and what it does to volumes.

use double::{Phase, StaleClaims};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::place::{Place, eventually};

fn is_pools(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name.starts_with("pool-"))
}

/// A Sandbox that ran on its own volume, and was stopped before there was a pool.
async fn stopped_before_the_pool(place: &Place, name: &str) {
    place.pooled_template().await;
    let double = place.double();
    place.user.create(place.sandbox(name)).await.unwrap();
    place.user.wait_phase(name, Phase::Running).await.unwrap();
    place.user.stop(name).await.unwrap();
    place.user.wait_phase(name, Phase::Stopped).await.unwrap();
    eventually("the pod gone", || async {
        place.pods().get_opt(&format!("{name}-pod")).await.unwrap().is_none().then_some(())
    })
    .await;
    double.shutdown().await;
}

#[tokio::test]
async fn a_restored_sandbox_gets_an_empty_pool_volume() {
    let place = Place::shared("theft-clone").await;
    place.pooled_template().await;
    let double = place.double_with(place.pool(2));
    let pool = place.ready_pool(2).await;
    let restored = place.sandbox("s1").clone_from("a-snapshot").storage("5Gi", "fast");
    let created = place.user.create(restored).await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();

    let status = &running.data["status"];
    assert!(is_pools(&status["podName"]) && is_pools(&status["pvcName"]), "{status}");
    assert!(place.claims().get_opt("s1-workspace").await.unwrap().is_none());
    let pod: Pod = place.pods().get(status["podName"].as_str().unwrap()).await.unwrap();
    assert!(pool.items.iter().any(|pooled| pooled.uid() == pod.uid()));
    let volume: PersistentVolumeClaim =
        place.claims().get(status["pvcName"].as_str().unwrap()).await.unwrap();
    assert_eq!(volume.name_any(), format!("{}-pvc", pod.name_any()));
    assert!(volume.labels().is_empty(), "{:?}", volume.labels());
    assert_eq!(volume.spec.unwrap().data_source, None);
    for owner in [&pod.owner_references()[0], &volume.metadata.owner_references.unwrap()[0]] {
        assert_eq!((&owner.uid, owner.controller), (&created.uid().unwrap(), Some(true)));
    }
    assert_eq!(pod.labels()["agenttier.io/sandbox"], "s1");
    assert!(!pod.labels().contains_key("agenttier.io/pooled"));
    place.ready_pool(2).await;
    double.shutdown().await;
}

#[tokio::test]
async fn a_resume_leaves_the_work_behind_and_a_rescue_finds_it() {
    let place = Place::shared("theft-resume").await;
    stopped_before_the_pool(&place, "s1").await;
    let work = place.claims().get("s1-workspace").await.unwrap().uid();
    let double = place.double_with(place.pool(1));
    place.ready_pool(1).await;

    place.user.resume("s1").await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    assert!(is_pools(&running.data["status"]["pvcName"]), "{}", running.data["status"]);
    assert_eq!(place.claims().get("s1-workspace").await.unwrap().uid(), work);

    place.user.stop("s1").await.unwrap();
    place.user.wait_phase("s1", Phase::Stopped).await.unwrap();
    place.user.set_status("s1", json!({"podName": "s1-pod", "phase": "Creating"})).await.unwrap();
    let rescued = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(rescued.data["status"]["pvcName"], "s1-workspace");
    assert_eq!(place.claims().get("s1-workspace").await.unwrap().uid(), work);
    double.shutdown().await;
}

#[tokio::test]
async fn a_lost_pod_can_cost_the_volume() {
    let place = Place::shared("theft-heal").await;
    place.pooled_template().await;
    let cold = place.double();
    place.user.create(place.sandbox("s1")).await.unwrap();
    place.user.wait_phase("s1", Phase::Running).await.unwrap();
    cold.shutdown().await;

    let double = place.double_with(place.pool(1));
    place.ready_pool(1).await;
    place.pods().delete("s1-pod", &kube::api::DeleteParams::default()).await.unwrap();
    let healed = place
        .user
        .wait_status("s1", "a restart", |status| status["phase"] == "Running" && status["restartCount"] == 1)
        .await
        .unwrap();
    assert!(is_pools(&healed.data["status"]["pvcName"]), "{}", healed.data["status"]);
    place.claims().get("s1-workspace").await.unwrap();
    double.shutdown().await;
}

#[tokio::test]
async fn a_pod_name_keeps_the_pool_away() {
    let place = Place::shared("guard").await;
    stopped_before_the_pool(&place, "s1").await;
    let double = place.double_with(place.pool(1));
    let pool = place.ready_pool(1).await;

    place.user.set_status("s1", json!({"podName": "s1-pod"})).await.unwrap();
    place.user.resume("s1").await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    let status = &running.data["status"];
    assert_eq!((&status["podName"], &status["pvcName"]), (&json!("s1-pod"), &json!("s1-workspace")));
    assert_eq!(place.ready_pool(1).await.items[0].uid(), pool.items[0].uid());
    double.shutdown().await;
}

#[tokio::test]
async fn a_claim_that_fails_half_way_starts_cold_and_leaves_an_orphan() {
    let place = Place::shared("orphan").await;
    place.pooled_template().await;
    let mut settings = place.pool(1);
    settings.stale_claims = StaleClaims::Always;
    let double = place.double_with(settings);
    let pool = place.ready_pool(1).await;
    let pod = pool.items[0].name_any();

    place.user.create(place.sandbox("s1")).await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(running.data["status"]["pvcName"], "s1-workspace");

    let orphan = place.pods().get(&pod).await.unwrap();
    assert!(orphan.owner_references().is_empty());
    assert!(!orphan.labels().contains_key("agenttier.io/pooled"));
    assert!(!orphan.labels().contains_key("agenttier.io/sandbox"));
    let volume = place.claims().get(&format!("{pod}-pvc")).await.unwrap();
    assert_eq!(volume.labels()["agenttier.io/pooled"], "true");
    assert!(volume.owner_references().is_empty());
    double.shutdown().await;
}
