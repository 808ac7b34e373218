//! Volumes that were there before their Sandbox.

use double::{NewSandbox, Phase};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::json;

use crate::place::{Place, eventually};

async fn prepare_volume(place: &Place, name: &str) -> PersistentVolumeClaim {
    let manifest = json!({
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    place.create(manifest).await
}

#[tokio::test]
async fn any_claim_of_the_right_name_is_adopted_as_it_is() {
    let place = Place::shared("adoption").await;
    let double = place.double();
    let prepared = prepare_volume(&place, "s1-workspace").await;
    // The snapshot does not exist, and nobody looks.
    let sandbox = NewSandbox::named("s1").storage("5Gi", "absent").clone_from("absent");
    place.user.create(sandbox).await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(running.data["status"]["pvcName"], "s1-workspace");

    let adopted = place.claims().get("s1-workspace").await.unwrap();
    assert_eq!(adopted.uid(), prepared.uid());
    assert!(adopted.owner_references().is_empty());
    assert!(adopted.labels().is_empty());
    assert_eq!(adopted.spec.unwrap().resources, prepared.spec.unwrap().resources);
    double.shutdown().await;
}

#[tokio::test]
async fn a_clone_is_made_from_its_snapshot() {
    let place = Place::shared("clone").await;
    let double = place.double();
    place.user.create(NewSandbox::named("s1")).await.unwrap();
    place.user.wait_phase("s1", Phase::Running).await.unwrap();

    let snapshot = place.user.clone_sandbox("s1", "s2").await.unwrap();
    let running = place.user.wait_phase("s2", Phase::Running).await.unwrap();
    assert_eq!(running.labels()["agenttier.io/cloned-from"], "s1");
    let claim = place.claims().get("s2-workspace").await.unwrap();
    assert_eq!(claim.labels()["agenttier.io/cloned-from-snapshot"], snapshot);
    assert_eq!(claim.spec.unwrap().data_source.unwrap().name, snapshot);
    let taken = place.snapshots().get(&snapshot).await.unwrap();
    assert_eq!(taken.labels()["agenttier.io/source-sandbox"], "s1");
    assert_eq!(taken.labels()["agenttier.io/clone-target"], "s2");
    assert!(!taken.labels().contains_key("agenttier.io/snapshot-kind"));
    double.shutdown().await;
}

#[tokio::test]
async fn a_sandbox_parked_on_a_prepared_volume_stays_and_then_starts_on_it() {
    let place = Place::shared("parked").await;
    place.pooled_template().await;
    let double = place.double_with(place.pool(1));
    let pool = place.ready_pool(1).await;
    let prepared = prepare_volume(&place, "s1-workspace").await;

    // The second way of bringing one back: a kind that cannot resolve, the status, the right kind.
    let nowhere = json!({"templateRef": {"name": place.namespace, "kind": "Parked"}});
    place.user.create(NewSandbox::named("s1").spec(nowhere)).await.unwrap();
    place.user.wait_phase("s1", Phase::Error).await.unwrap();
    let parked = json!({
        "phase": "Stopped", "podName": "s1-pod", "pvcName": "s1-workspace", "message": null,
    });
    place.user.set_status("s1", parked).await.unwrap();
    let mut sandbox = place.user.sandboxes().get("s1").await.unwrap();
    sandbox.data["spec"]["templateRef"]["kind"] = json!("ClusterSandboxTemplate");
    place.user.sandboxes().replace("s1", &kube::api::PostParams::default(), &sandbox).await.unwrap();

    // Another one gets through all of its start in the meantime.
    place.user.create(NewSandbox::named("other")).await.unwrap();
    place.user.wait_phase("other", Phase::Running).await.unwrap();
    assert_eq!(place.user.sandboxes().get("s1").await.unwrap().data["status"]["phase"], "Stopped");
    assert!(place.pods().get_opt("s1-pod").await.unwrap().is_none());

    place.user.resume("s1").await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(running.data["status"]["pvcName"], "s1-workspace");
    assert_eq!(place.claims().get("s1-workspace").await.unwrap().uid(), prepared.uid());
    assert_eq!(place.ready_pool(1).await.items[0].uid(), pool.items[0].uid());

    place.user.delete("s1").await.unwrap();
    place.user.wait_gone("s1").await.unwrap();
    eventually("the volume gone by its status name", || async {
        place.claims().get_opt("s1-workspace").await.unwrap().is_none().then_some(())
    })
    .await;
    double.shutdown().await;
}
