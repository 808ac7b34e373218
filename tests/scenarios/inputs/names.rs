//! Names that are too long for a label, and a namespace that is on its way out.

use agenttier_backup_plan::marks;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use stage::Rhythm;
use testbed::STORAGE_CLASS;

use super::told::{FAST, Told};
use crate::place::{TEAM, claims, eventually, stage, workspace};

#[tokio::test]
async fn long_names_are_told_apart_and_a_namespace_that_goes_stops_no_other() {
    let stage = stage("names").await;
    let longs = ["one", "two"].map(|end| format!("{}-{end}", "w".repeat(120)));
    for name in &longs {
        workspace(&stage, name, STORAGE_CLASS).await;
    }
    stage.namespace("leaving").await.unwrap();
    let mut claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": { "name": "w", "labels": { "agenttier.io/managed": "true" } },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": STORAGE_CLASS,
            "resources": { "requests": { "storage": "1Gi" } },
        },
    }))
    .expect("a claim");
    claim.metadata.namespace = Some("leaving".into());
    let leaving: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), "leaving");
    leaving.create(&PostParams::default(), &claim).await.unwrap();
    eventually("the volumes are bound", || async {
        let told = Told::by(&stage).await?;
        let mut all = longs.iter().map(String::as_str).chain(["w"]);
        Ok(all.all(|claim| told.of(claim)["driver"].is_string()).then_some(()))
    })
    .await;
    // Whoever empties namespaces is not there: this one is as it is in the first moments of its end.
    stage.cluster.freeze("kube-controller-manager").await.unwrap();
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    namespaces.delete("leaving", &DeleteParams::default()).await.unwrap();
    stage.policy(Rhythm { interval: "10s", max_age: "15s", keep_last: 1 }).await.unwrap();
    let controller = stage.start_controller(FAST).await.unwrap();

    let told = eventually("the namespace is named", || async {
        Ok(Some(Told::by(&stage).await?).filter(|told| told.reason("w") == "NamespaceTerminating"))
    })
    .await;
    assert_eq!(told.of("w")["protection"]["state"], "Awaited", "{:#}", told.of("w"));
    let text = stage.run(&["plan"]).await.unwrap().good().unwrap();
    assert!(text.contains("leaving/w: TakeSnapshot fails since"), "{text}");
    eventually("the others are pruned, so they are taken too", || async {
        let log = controller.log()?;
        let pruned = |claim: &str| {
            let mark = format!("claim={claim} ");
            log.lines().any(|line| line.contains("snapshot pruned") && line.contains(&mark))
        };
        Ok(longs.iter().all(|claim| pruned(claim)).then_some(()))
    })
    .await;
    for claim in &longs {
        let uid = claims(&stage).get(claim).await.unwrap().uid().expect("the API server sets it");
        let points = stage.points(TEAM).await.unwrap().ours().of(claim);
        assert!(points.count() >= 1, "{claim}");
        for point in &points.0 {
            assert!(point.name_any().len() <= 63, "{}", point.name_any());
            assert!(point.labels()[marks::SOURCE_PVC].len() <= 63, "{:?}", point.labels());
            assert_eq!(
                (&point.annotations()[marks::CLAIM], &point.annotations()[marks::VOLUME_UID]),
                (claim, &uid)
            );
        }
        points.one_per_slot().unwrap();
    }

    stage.cluster.thaw("kube-controller-manager").await.unwrap();
    eventually("the namespace is gone, and nothing is told of it any more", || async {
        let gone = namespaces.get_opt("leaving").await?.is_none();
        Ok((gone && Told::by(&stage).await?.of("w").is_null()).then_some(()))
    })
    .await;
}
