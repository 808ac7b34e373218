//! A namespace that is full to its quota.

use kube::Api;
use kube::api::PostParams;
use stage::Points;

use super::audit::Tally;
use super::field::{FAST, Field, VOLUMES};
use crate::place::TEAM;
use crate::protection::quota;

/// Pruning frees places, and the snapshots follow by themselves.
#[tokio::test]
async fn a_full_quota_frees_itself() {
    let field = Field::lay("full").await;
    let start = field.prepare().await;
    let there = start.objects.len();
    quota(&field.stage, &there.to_string()).await;
    let mut another = field.scheduled().await.unwrap().0[0].clone();
    another.metadata = kube::core::ObjectMeta { name: Some("one-more".into()), ..Default::default() };
    let api: Api<agenttier_backup::csi::VolumeSnapshot> = Api::namespaced(field.stage.client.clone(), TEAM);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let refused = api.create(&dry_run, &another).await.expect_err("the quota is full");
    assert!(refused.to_string().contains("exceeded quota"), "{refused}");

    let controller = field.stage.start_controller(FAST).await.unwrap();
    field.done().await;
    let Points(points) = field.stage.points(TEAM).await.unwrap();
    assert_eq!(points.len(), there - VOLUMES, "one each in place of two");
    let tally = field.audit(&start).await.unwrap();
    assert_eq!(tally, Tally { taken: VOLUMES, pruned: 2 * VOLUMES }, "{}", controller.log().unwrap());
}
