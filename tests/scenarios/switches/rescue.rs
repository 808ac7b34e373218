//! A sandbox that was switched to an empty volume is put back on its own, and switched once more.

use agenttier_backup::csi::VolumeSnapshot;
use double::Phase;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use stage::Stage;

use super::{FAST, PACE, at_least, mark, names, planned, ready, running, stopped};
use crate::place::{ONCE, TEAM, eventually, pool_is_ready, stage, user, with_pool};

const AFTER_SWITCH: &str = "backup.agenttier.io/after-switch";
const OWN: &str = "s1-workspace";

/// Resumes it with a pool beside it; the pool's claim that it runs on then.
async fn switched(stage: &Stage) -> String {
    pool_is_ready(stage, 1).await;
    user(stage).resume("s1").await.unwrap();
    let running = user(stage).wait_phase("s1", Phase::Running).await.unwrap();
    let claim = running.data["status"]["pvcName"].as_str().unwrap().to_owned();
    assert!(claim.starts_with("pool-"), "{claim}");
    claim
}

/// Waits until a claim has so many points that were taken after a switch, and gives all of its points.
async fn saved(stage: &Stage, claim: &str, times: usize) -> Vec<VolumeSnapshot> {
    eventually(&format!("{claim} is saved after {times} switches"), || async {
        tokio::time::sleep(PACE).await;
        let points = ready(stage, claim).await?;
        let after = points.iter().filter(|point| mark(point, AFTER_SWITCH).is_some()).count();
        anyhow::ensure!(after <= times, "saved too often: {:?}", names(&points));
        Ok((after == times).then_some(points))
    })
    .await
}

/// Waits for so many Events about the claim.
async fn told(stage: &Stage, claim: &str, times: usize) {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), TEAM);
    eventually(&format!("{times} Events about {claim}"), || async {
        let told = events.list(&ListParams::default().fields("reason=WorkspaceSwitched")).await?.items;
        let about = told.iter().filter(|event| {
            let message = event.message.as_deref().unwrap_or_default();
            message.contains(&format!(" is on {claim},"))
                && event.involved_object.name.as_deref() == Some("s1")
        });
        Ok((about.count() == times).then_some(()))
    })
    .await;
}

/// Waits until `plan` says that a claim was left.
async fn is_left(stage: &Stage, claim: &str) {
    eventually(&format!("plan says that {claim} was left"), || async {
        let volume = planned(stage, claim).await?;
        let is_left = volume["protection"]["reason"] == "WorkspaceSwitched"
            && volume["notices"][0]["reason"] == "WorkspaceSwitched"
            && volume["points"].as_array().unwrap().iter().all(|point| point["reason"] == "Frozen");
        Ok(is_left.then_some(()))
    })
    .await;
}

#[tokio::test]
async fn a_rescued_volume_is_an_ordinary_one_until_it_is_left_again() {
    let mut stage = stage("rescue").await;
    let user = user(&stage);
    running(&stage, "s1").await;
    // In a slot of ten years one point is enough, but for what this is about.
    stage.policy(ONCE).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    let before = at_least(&stage, OWN, 1).await;
    stopped(&stage, "s1").await;
    stage.restart_agenttier(with_pool(1)).await;
    let pools = switched(&stage).await;
    let points = saved(&stage, OWN, 1).await;
    assert_eq!(points.len(), before.len() + 1);
    told(&stage, OWN, 1).await;
    is_left(&stage, OWN).await;
    at_least(&stage, &pools, 1).await;
    assert_eq!(planned(&stage, &pools).await.unwrap()["notices"], json!([]), "this is the one in use");

    // The rescue: stop, and start with a pod's name, so that the pool is not asked.
    user.stop("s1").await.unwrap();
    user.wait_phase("s1", Phase::Stopped).await.unwrap();
    user.set_status("s1", json!({ "podName": "s1-pod", "phase": "Creating" })).await.unwrap();
    let rescued = user.wait_phase("s1", Phase::Running).await.unwrap();
    assert_eq!(rescued.data["status"]["pvcName"], OWN);
    // What was taken while nobody worked there says nothing about the work to come.
    let points = at_least(&stage, OWN, points.len() + 1).await;
    assert_eq!(mark(points.last().unwrap(), AFTER_SWITCH), None);
    let volume = planned(&stage, OWN).await.unwrap();
    assert_eq!((&volume["protection"]["state"], &volume["notices"]), (&json!("Protected"), &json!([])));
    saved(&stage, &pools, 1).await;
    told(&stage, &pools, 1).await;
    is_left(&stage, &pools).await;
    let notice = planned(&stage, &pools).await.unwrap()["notices"][0]["message"].clone();
    assert!(notice.as_str().unwrap().contains("uses the volume s1-workspace now, its own"), "{notice}");

    // And once more.
    stopped(&stage, "s1").await;
    let another = switched(&stage).await;
    assert_ne!(another, pools);
    let again = saved(&stage, OWN, 2).await;
    told(&stage, OWN, 2).await;
    is_left(&stage, OWN).await;
    is_left(&stage, &pools).await;
    assert!(names(&points).is_subset(&names(&again)), "all of them are there");
    assert_eq!(again.len(), points.len() + 1);
    assert!(!controller.log().unwrap().contains("snapshot pruned"));
}
