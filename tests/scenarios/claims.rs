//! Claims that cannot be backed up stop nothing else, and are named.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, SnapshotSpec};
use double::{NewSandbox, Phase};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use stage::Rhythm;
use testbed::{Code, Fault, STORAGE_CLASS};

use crate::place::{ONCE, TEAM, TEMPLATE, claims, eventually, stage, stage_with, user, with_pool, workspace};

fn volume<'a>(plan: &'a Value, claim: &str) -> &'a Value {
    let volumes = plan["volumes"].as_array().unwrap();
    volumes.iter().find(|volume| volume["volume"]["claim"] == claim).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn pending_and_terminating_claims_stop_nothing() {
    let stage = stage_with("claims", with_pool(1)).await;
    let user = user(&stage);
    // The names sort before and after the healthy one: neither order may matter.
    workspace(&stage, "a-pending", "no-such-class").await;
    workspace(&stage, "z-terminating", STORAGE_CLASS).await;
    workspace(&stage, "healthy", STORAGE_CLASS).await;
    let hold = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    claims(&stage).patch("z-terminating", &PatchParams::default(), &Patch::Merge(&hold)).await.unwrap();
    claims(&stage).delete("z-terminating", &DeleteParams::default()).await.unwrap();
    // Taken from the warm pool, so never labelled as managed: found by its Sandbox's status.
    eventually("a pool volume is there", || async {
        let all = claims(&stage).list(&ListParams::default()).await?;
        Ok(all
            .items
            .iter()
            .any(|claim| claim.metadata.name.as_ref().is_some_and(|name| name.starts_with("pool-")))
            .then_some(()))
    })
    .await;
    let warm = eventually("a sandbox on a volume of the pool", || async {
        let name = format!("warm-{}", jiff::Timestamp::now().as_millisecond());
        user.create(NewSandbox::named(&name).cluster_template(TEMPLATE)).await?;
        let running = user.wait_phase(&name, Phase::Running).await?;
        let claim = running.data["status"]["pvcName"].as_str().unwrap_or_default().to_owned();
        Ok(claim.starts_with("pool-").then_some(claim))
    })
    .await;

    stage.policy(ONCE).await.unwrap();
    stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
    for claim in ["healthy", &warm] {
        eventually(&format!("a recovery point of {claim}"), || async {
            Ok((stage.points(TEAM).await?.ours().of(claim).ready().count() == 1).then_some(()))
        })
        .await;
    }

    let plan = stage.run(&["plan", "-o", "json"]).await.unwrap().json().unwrap();
    assert_eq!(
        volume(&plan, "a-pending")["protection"],
        json!({ "state": "Unprotected", "reason": "ClaimPending" })
    );
    assert_eq!(
        volume(&plan, "z-terminating")["protection"],
        json!({ "state": "Unprotected", "reason": "ClaimTerminating" })
    );
    assert_eq!(volume(&plan, "healthy")["protection"]["state"], "Protected");
    assert_eq!(volume(&plan, &warm)["protection"]["state"], "Protected");
    let ours = stage.points(TEAM).await.unwrap().ours();
    assert_eq!((ours.of("a-pending").count(), ours.of("z-terminating").count()), (0, 0));
    let pooled = plan["volumes"].as_array().unwrap().iter().filter(|volume| {
        volume["volume"]["claim"].as_str().is_some_and(|claim| claim.starts_with("pool-") && claim != warm)
    });
    assert_eq!(pooled.count(), 0, "volumes that wait in the pool are not backed up");
}

/// The snapshot controller's finalizer on the claim of a snapshot that is under way.
const HELD_BY_A_SNAPSHOT: &str = "snapshot.storage.kubernetes.io/pvc-as-source-protection";

/// The snapshot controller holds a claim for as long as a snapshot of it is under way: one that never gets ready would
/// keep a deleted sandbox's volume for ever.
#[tokio::test]
async fn a_snapshot_that_never_gets_ready_holds_no_deleted_claim() {
    let stage = stage("held-claim").await;
    workspace(&stage, "w", STORAGE_CLASS).await;
    stage.cluster.driver().faults(&[Fault::fail("CreateSnapshot", Code::Internal, "out of order")]).unwrap();
    let snapshots = SnapshotSpec {
        ready_timeout: "5s".into(),
        ..Rhythm { interval: "1d", max_age: "7d", keep_last: 1 }.snapshots()
    };
    stage
        .write_policy(&BackupPolicy::new(
            "stage",
            BackupPolicySpec { priority: 10, snapshots, ..BackupPolicySpec::default() },
        ))
        .await
        .unwrap();
    let controller = stage.start_controller(&["--snapshots-per-minute-at-least", "60"]).await.unwrap();
    eventually("a snapshot that does not get ready and holds its claim", || async {
        Ok(claims(&stage)
            .get("w")
            .await?
            .finalizers()
            .iter()
            .any(|held| held == HELD_BY_A_SNAPSHOT)
            .then_some(()))
    })
    .await;
    claims(&stage).delete("w", &DeleteParams::default()).await.unwrap();
    eventually("the claim is gone", || async {
        Ok(claims(&stage).get_opt("w").await?.is_none().then_some(()))
    })
    .await;
    eventually("it says why the snapshot went", || async {
        Ok(controller.log()?.contains("it holds its claim").then_some(()))
    })
    .await;
}
