//! A sandbox that was stopped for 60 days, and is deleted then, comes back.

use double::Phase;
use jiff::{SignedDuration, Timestamp, Unit};
use kube::ResourceExt;
use serde_json::{Value, json};
use stage::{Rhythm, Stage};

use super::{FAST, PACE, at_least, created, mark, names, planned, ready, running, stopped};
use crate::place::{TEAM, claims, eventually, stage, user};

const AT_REST: &str = "backup.agenttier.io/at-rest-since";
const CLAIM: &str = "s1-workspace";

/// 60 days ago, a few minutes more or less.
fn long_ago(minutes: i64) -> String {
    let at = Timestamp::now() - SignedDuration::from_hours(60 * 24) + SignedDuration::from_mins(minutes);
    at.round(Unit::Second).unwrap().to_string()
}

/// Lets the sandbox have been stopped 60 days ago, its one point been taken then.
async fn sixty_days_pass(stage: &Stage, point: &str) {
    let last_active = long_ago(-30);
    let sandboxes = stage.cluster.store("agenttier.io/sandboxes");
    let points = stage.cluster.store("snapshot.storage.k8s.io/volumesnapshots");
    let back = |object: &mut Value| {
        object["metadata"]["creationTimestamp"] = json!(long_ago(0));
        object["status"]["creationTime"] = json!(long_ago(0));
        object["metadata"]["annotations"]["backup.agenttier.io/slot"] = json!(long_ago(-5));
        object["metadata"]["annotations"][AT_REST] = json!(last_active);
    };
    points.rewrite(&format!("{TEAM}/{point}"), back).await.unwrap();
    let back = |object: &mut Value| {
        object["metadata"]["creationTimestamp"] = json!(long_ago(-60));
        object["status"]["lastActivityTimestamp"] = json!(last_active);
    };
    sandboxes.rewrite(&format!("{TEAM}/s1"), back).await.unwrap();
}

#[tokio::test]
async fn stopped_for_sixty_days_and_then_deleted_it_comes_back() {
    let stage = stage("long-stopped").await;
    let user = user(&stage);
    running(&stage, "s1").await;
    let volume = stage.cluster.volume(TEAM, CLAIM).await.unwrap();
    volume.write("thesis.txt", "three years of work").unwrap();
    let files = volume.tree().unwrap();
    stopped(&stage, "s1").await;
    let spec = user.sandboxes().get("s1").await.unwrap().data["spec"].clone();
    stage.policy(Rhythm { interval: "10s", max_age: "14d", keep_last: 1 }).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();
    let points = at_least(&stage, CLAIM, 1).await;
    let point = points[0].name_any();
    assert!(mark(&points[0], AT_REST).is_some());
    // All of that time there was no controller, or there was: it is the same.
    controller.kill().await.unwrap();
    assert_eq!(ready(&stage, CLAIM).await.unwrap().len(), 1);
    sixty_days_pass(&stage, &point).await;
    eventually("the API server shows the older dates", || async {
        let points = ready(&stage, CLAIM).await?;
        Ok((Timestamp::now().duration_since(created(&points[0])) > SignedDuration::from_hours(24))
            .then_some(()))
    })
    .await;

    let controller = stage.start_controller(FAST).await.unwrap();
    let passes = || controller.log().unwrap().matches(" pass ").count();
    running(&stage, "s2").await;
    at_least(&stage, "s2-workspace", 2).await;
    let volume = planned(&stage, CLAIM).await.unwrap();
    assert_eq!((&volume["protection"]["state"], &volume["unchanged"]), (&json!("Protected"), &json!(true)));
    assert_eq!(volume["wants"], json!([]), "{volume:#}");
    assert_eq!(names(&ready(&stage, CLAIM).await.unwrap()), [point.clone()].into(), "{} passes", passes());

    user.delete("s1").await.unwrap();
    user.wait_gone("s1").await.unwrap();
    eventually("its claim is gone with it, and that is noted", || async {
        tokio::time::sleep(PACE).await;
        let points = ready(&stage, CLAIM).await?;
        let noted = mark(&points[0], "backup.agenttier.io/gone-since").is_some();
        Ok((noted && claims(&stage).get_opt(CLAIM).await?.is_none()).then_some(()))
    })
    .await;
    // Two more slots of the other one: all of this one's are past any age that is kept.
    let before = ready(&stage, "s2-workspace").await.unwrap().len();
    at_least(&stage, "s2-workspace", before + 2).await;
    let volume = planned(&stage, CLAIM).await.unwrap();
    assert_eq!(
        (&volume["points"][0]["name"], &volume["points"][0]["reason"]),
        (&json!(point), &json!("SandboxGone"))
    );

    let args = ["restore", "s1", "-n", TEAM, "--as", "s1", "--start", "running", "-o", "json"];
    let restored = stage.run(&args).await.unwrap().json().unwrap();
    assert_eq!((&restored["recoveryPoint"], &restored["phase"]), (&json!(point), &json!("Running")));
    let back = user.wait_phase("s1", Phase::Running).await.unwrap();
    let mut came_back = back.data["spec"].clone();
    assert_eq!(came_back.as_object_mut().unwrap().remove("cloneFromSnapshot"), Some(json!(point)));
    assert_eq!(came_back, spec);
    assert_eq!(back.data["status"]["pvcName"], CLAIM);
    let tree = stage.cluster.volume(TEAM, CLAIM).await.unwrap().tree().unwrap();
    assert_eq!(testbed::difference(&files, &tree), Vec::<String>::new());
}
