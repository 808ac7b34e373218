//! Where rounds take place: volumes with old recovery points, and what others made among them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use agenttier_backup::csi::{SnapshotSource, VolumeSnapshot, VolumeSnapshotSpec};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use stage::{NAMESPACE, Points, Rhythm, Stage};
use testbed::{Proxy, STORAGE_CLASS, Store, Stored};

use super::audit::{Tally, audit};
use crate::place::{PATIENCE, TEAM, claims, eventually, stage, workspace};

/// Volumes: as many snapshots are due in a round, and twice as many get prunable: half of these at once, the other
/// half when the new ones are ready.
pub(crate) const VOLUMES: usize = 50;
/// No slot ends in a round, but for one in tens of thousands of rounds.
const RARELY: Rhythm = Rhythm { interval: "3650d", max_age: "3650d", keep_last: 1 };
/// The same, as a point says what it was taken under.
const TAKEN_UNDER: &str = "maxAge=315360000s keepLast=1";
/// The ages of the two points that each volume has; days. Both are past their retention.
const AGES: [i64; 2] = [5000, 4000];
/// The age of what others made; days.
const AGE_OF_OTHERS: i64 = 6000;
/// Requests under way at once while a field is laid.
const AT_ONCE: usize = 8;
/// Lists of all points are large: enough of them are made.
const PACE: Duration = Duration::from_millis(200);

/// As fast as the storage takes it.
pub(crate) const FAST: &[&str] = &["--snapshots-per-minute-at-least", "6000"];

/// The stage, with volumes and with what others made of them.
pub(crate) struct Field {
    pub(crate) stage: Arc<Stage>,
    /// Of the chart's ServiceAccount.
    token: String,
    /// `namespace/name` of what must never be deleted.
    foreign: BTreeSet<String>,
}

impl Field {
    /// Everything that stays for all rounds.
    pub(crate) async fn lay(name: &str) -> Self {
        let stage = Arc::new(stage(name).await);
        for i in 0..VOLUMES {
            workspace(&stage, &format!("w{i:02}"), STORAGE_CLASS).await;
        }
        let claims = eventually("all volumes are bound", || async {
            tokio::time::sleep(PACE).await;
            let claims = claims(&stage).list(&ListParams::default()).await?.items;
            Ok(claims.iter().all(is_bound).then_some(claims))
        })
        .await;
        let token = stage.cluster.service_account_token(NAMESPACE, NAMESPACE).await.unwrap();
        let mut field = Self { stage, token, foreign: BTreeSet::new() };
        let made = claims.iter().enumerate().filter(|(i, _)| i % 5 == 0).flat_map(|(_, claim)| others(claim));
        field.foreign = field.plant(made.collect(), &|_| AGE_OF_OTHERS).await;
        field.stage.policy(RARELY).await.unwrap();
        field
    }

    /// All snapshots, where they are stored.
    pub(crate) fn store(&self) -> Store<'_> {
        self.stage.cluster.store("snapshot.storage.k8s.io/volumesnapshots")
    }

    /// A proxy that counts from one, and a kubeconfig of the controller's that leads through it.
    pub(crate) async fn proxy(&self) -> (Proxy, std::path::PathBuf) {
        let proxy = self.stage.cluster.proxy().await.unwrap();
        let kubeconfig = proxy.kubeconfig(&self.token).unwrap();
        (proxy, kubeconfig)
    }

    /// Makes everything due: takes away what the last round left, and gives each volume two old points.
    pub(crate) async fn prepare(&self) -> Stored {
        self.clear().await;
        let claims = claims(&self.stage).list(&ListParams::default()).await.unwrap().items;
        let old = claims.iter().flat_map(|claim| AGES.map(|age| point_of(claim, age))).collect();
        let age = |point: &VolumeSnapshot| {
            let first = point.name_any().ends_with(&AGES[0].to_string());
            AGES[usize::from(!first)]
        };
        self.plant(old, &age).await;
        self.store().now().await.unwrap()
    }

    /// Makes snapshots, waits until they are ready, and dates them back by so many days. Gives their names.
    async fn plant(
        &self,
        snapshots: Vec<VolumeSnapshot>,
        days: &(dyn Fn(&VolumeSnapshot) -> i64 + Sync),
    ) -> BTreeSet<String> {
        let api: Api<VolumeSnapshot> = Api::namespaced(self.stage.client.clone(), TEAM);
        let names: BTreeMap<String, i64> =
            snapshots.iter().map(|snapshot| (snapshot.name_any(), days(snapshot))).collect();
        stream::iter(snapshots.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |snapshot| {
                let api = api.clone();
                async move { api.create(&PostParams::default(), snapshot).await.map(drop) }
            })
            .await
            .unwrap();
        eventually("what was planted is ready", || async {
            tokio::time::sleep(PACE).await;
            let ready = self.stage.points(TEAM).await?.ready().names();
            Ok(names.keys().all(|name| ready.contains(name)).then_some(()))
        })
        .await;
        let store = self.store();
        let store = &store;
        let date_back = names.iter().map(|(name, days)| async move {
            store.rewrite(&format!("{TEAM}/{name}"), |object| date_back(object, *days)).await
        });
        stream::iter(date_back).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.unwrap();
        // The API server learns of it as of any other write; whoever lists from now on must see it.
        let an_age = SignedDuration::from_hours(24);
        eventually("the API server shows the older dates", || async {
            tokio::time::sleep(PACE).await;
            let points = self.stage.points(TEAM).await?;
            let planted = points.0.iter().filter(|point| names.contains_key(&point.name_any()));
            let young = |point: &VolumeSnapshot| Timestamp::now().duration_since(created(point)) < an_age;
            Ok((!planted.into_iter().any(young)).then_some(()))
        })
        .await;
        names.into_keys().map(|name| format!("{TEAM}/{name}")).collect()
    }

    /// Takes away all that is not to stay.
    async fn clear(&self) {
        let api: Api<VolumeSnapshot> = Api::namespaced(self.stage.client.clone(), TEAM);
        let left = self.scheduled().await.unwrap().names();
        let params = DeleteParams::default();
        try_join_all(left.iter().map(|name| api.delete(name, &params))).await.unwrap();
        eventually("what the last round left is gone", || async {
            tokio::time::sleep(PACE).await;
            Ok(self.scheduled().await?.0.is_empty().then_some(()))
        })
        .await;
    }

    /// All points but those that are to stay.
    pub(crate) async fn scheduled(&self) -> anyhow::Result<Points> {
        let mut points = self.stage.points(TEAM).await?;
        points.0.retain(|point| !self.foreign.contains(&format!("{TEAM}/{}", point.name_any())));
        Ok(points)
    }

    /// Waits until each volume has one point, made in this round and ready, and nothing else is left of the
    /// schedule.
    pub(crate) async fn done(&self) {
        let what = "everything due is covered and everything prunable is gone";
        let done = testbed::until(what, PATIENCE, || async {
            tokio::time::sleep(PACE).await;
            let points = self.scheduled().await?;
            let covered: BTreeSet<_> =
                points.ready().0.iter().filter(|point| is_young(point)).map(source).collect();
            Ok((covered.len() == VOLUMES && points.count() == VOLUMES).then_some(()))
        });
        if let Err(error) = done.await {
            let points = self.scheduled().await.unwrap();
            let good = points.ready().names();
            let odd = points.0.iter().filter(|point| !is_young(point) || !good.contains(&point.name_any()));
            let odd = odd.map(|point| self.account(point)).collect::<Vec<_>>().join("\n");
            panic!("{error:#}: {} points, among them\n{odd}", points.count());
        }
    }

    /// A point, and the last that was written of it.
    fn account(&self, point: &VolumeSnapshot) -> String {
        const LINES: usize = 8;
        let mut point = point.clone();
        point.metadata.managed_fields = None;
        let volume = source(&point).expect("it is a snapshot of a claim");
        let content =
            point.status.as_ref().and_then(|status| status.bound_volume_snapshot_content_name.clone());
        let names = [Some(volume), content];
        let mut account = serde_json::to_string(&point).unwrap();
        for writer in ["controller", "snapshot-controller", "csi-snapshotter"] {
            let log = self.stage.cluster.process(writer).unwrap().log().unwrap();
            let said: Vec<_> = log
                .lines()
                .filter(|line| names.iter().flatten().any(|name| line.contains(name.as_str())))
                .collect();
            let last = &said[said.len().saturating_sub(LINES)..];
            account = format!("{account}\n  {writer}, of it:\n    {}", last.join("\n    "));
        }
        account
    }

    /// Holds all writes since `start` against the promises.
    pub(crate) async fn audit(&self, start: &Stored) -> anyhow::Result<Tally> {
        let history = self.store().since(start.revision).await?;
        audit(start, &history, &self.foreign)
    }
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

fn created(point: &VolumeSnapshot) -> Timestamp {
    point.creation_timestamp().expect("the API server sets it").0
}

fn is_young(point: &VolumeSnapshot) -> bool {
    Timestamp::now().duration_since(created(point)) < SignedDuration::from_hours(24)
}

fn source(point: &VolumeSnapshot) -> Option<String> {
    point.spec.source.persistent_volume_claim_name.clone()
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

/// As if it had been made so many days ago.
fn date_back(object: &mut Value, age: i64) {
    let before = (Timestamp::now() - days(age)).round(jiff::Unit::Second).expect("a time in this century");
    object["metadata"]["creationTimestamp"] = json!(before.to_string());
    object["status"]["creationTime"] = json!(before.to_string());
}

/// A point as the product would have made it so many days ago.
fn point_of(claim: &PersistentVolumeClaim, age: i64) -> VolumeSnapshot {
    let slot = (Timestamp::now() - days(age)).round(jiff::Unit::Second).expect("a time in this century");
    let name = format!("{}-backup-{age}", claim.name_any());
    let mut point = snapshot(claim, &name, &our_labels(), &our_marks(claim));
    let marks = [("slot", slot.to_string()), ("retention", TAKEN_UNDER.to_owned())];
    for (mark, value) in marks {
        point.annotations_mut().insert(format!("backup.agenttier.io/{mark}"), value);
    }
    point
}

type Pairs = Vec<(&'static str, String)>;

fn our_labels() -> Pairs {
    vec![
        ("app.kubernetes.io/managed-by", "agenttier-backup".into()),
        ("agenttier.io/snapshot-kind", "scheduled-backup".into()),
        ("agenttier.io/managed", "true".into()),
        ("velero.io/exclude-from-backup", "true".into()),
    ]
}

fn our_marks(claim: &PersistentVolumeClaim) -> Pairs {
    vec![
        ("backup.agenttier.io/volume-uid", claim.uid().expect("the API server sets it")),
        ("backup.agenttier.io/claim", claim.name_any()),
    ]
}

/// What others make of a claim, or people keep of it: none of it is ours to delete, however old.
fn others(claim: &PersistentVolumeClaim) -> Vec<VolumeSnapshot> {
    let with = |mut pairs: Pairs, key, value: &str| {
        pairs.retain(|(other, _)| *other != key);
        pairs.push((key, value.to_owned()));
        pairs
    };
    let (ours, marks) = (our_labels(), our_marks(claim));
    let kinds: Vec<(&str, Pairs, Pairs)> = vec![
        ("by-hand", vec![], vec![]),
        ("stopsnap", vec![("agenttier.io/snapshot-kind", "on-stop".into())], vec![]),
        (
            "snap",
            vec![("agenttier.io/source-sandbox", "a".into()), ("agenttier.io/clone-target", "b".into())],
            vec![],
        ),
        ("agenttiers", vec![("agenttier.io/snapshot-kind", "scheduled-backup".into())], vec![]),
        ("veleros", with(ours.clone(), "velero.io/backup-name", "b"), marks.clone()),
        ("forged", ours.clone(), with(marks.clone(), "backup.agenttier.io/claim", "another")),
        ("earlier", ours.clone(), with(marks.clone(), "backup.agenttier.io/volume-uid", &claim.name_any())),
        ("pinned", ours, with(marks, "backup.agenttier.io/pinned", "audit")),
    ];
    let named = |(kind, labels, annotations): &(&str, Pairs, Pairs)| {
        snapshot(claim, &format!("{}-{kind}", claim.name_any()), labels, annotations)
    };
    kinds.iter().map(named).collect()
}

fn snapshot(
    claim: &PersistentVolumeClaim,
    name: &str,
    labels: &Pairs,
    annotations: &Pairs,
) -> VolumeSnapshot {
    let map = |pairs: &Pairs| pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let source =
        SnapshotSource { persistent_volume_claim_name: Some(claim.name_any()), ..Default::default() };
    let mut snapshot = VolumeSnapshot::new(name, VolumeSnapshotSpec { source, ..Default::default() });
    snapshot.metadata.labels = Some(map(labels));
    snapshot.metadata.annotations = Some(map(annotations));
    snapshot
}
