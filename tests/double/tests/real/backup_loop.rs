//! AgentTier's own scheduled backups.

use std::time::Duration;

use double::{BackupLoop, Double, NewSandbox, Options, Phase};
use kube::{ResourceExt, api::ListParams};

use crate::place::{Place, eventually};

async fn snapshots(place: &Place, count: usize) -> Vec<kube::api::DynamicObject> {
    eventually(&format!("{count} snapshots"), || async {
        let found = place.snapshots().list(&ListParams::default()).await.unwrap().items;
        (found.len() == count).then_some(found)
    })
    .await
}

#[tokio::test]
async fn it_has_no_memory_and_prunes_by_age_alone() {
    let place = Place::shared("own-loop").await;
    let backups = |retention| BackupLoop {
        namespace: place.namespace.clone(),
        interval: Duration::from_hours(1),
        retention,
        snapshot_class: None,
    };
    let start = |retention| {
        let options = Options { backup_loop: Some(backups(retention)), ..place.options() };
        Double::start(place.client.clone(), options)
    };
    let hours = Duration::from_hours(1);
    let double = place.double();
    place.user.create(NewSandbox::named("s1")).await.unwrap();
    place.user.wait_phase("s1", Phase::Running).await.unwrap();
    double.shutdown().await;

    let double = start(hours);
    let first = snapshots(&place, 1).await.swap_remove(0);
    assert!(first.name_any().starts_with("s1-workspace-backup-"), "{}", first.name_any());
    assert_eq!(first.labels()["agenttier.io/snapshot-kind"], "scheduled-backup");
    assert_eq!(first.labels()["agenttier.io/source-pvc"], "s1-workspace");
    assert_eq!(first.labels()["agenttier.io/managed"], "true");
    double.shutdown().await;

    // A name holds the second: in the same one a restart's snapshot would be refused.
    let taken = first.creation_timestamp().unwrap().0.as_second();
    eventually("the next second", || async {
        (jiff::Timestamp::now().as_second() > taken + 1).then_some(())
    })
    .await;
    let double = start(hours);
    snapshots(&place, 2).await;
    double.shutdown().await;

    eventually("the next second", || async {
        (jiff::Timestamp::now().as_second() > taken + 4).then_some(())
    })
    .await;
    let double = start(Duration::ZERO);
    snapshots(&place, 0).await;
    double.shutdown().await;
}
