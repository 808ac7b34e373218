//! What others do to what is ours in Velero's namespace is undone, and then nothing is written any more.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::velero::{Schedule, SchedulePhase};
use agenttier_backup::api::{VOLUME_POLICY, VeleroSpec};

use double::Options;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Resource, ResourceExt};
use proptest::prelude::{Rng, RngExt as _};
use serde_json::{Value, json};
use testbed::{Proxy, VELERO_NAMESPACE, Write};

use super::site::Site;
use crate::place::{eventually, nothing_odd};
use crate::rounds::random::{random, seed};

const EDITS: usize = 100;
/// So long nothing is written in the end.
const QUIET: Duration = Duration::from_mins(1);
/// So many are made before anybody looks.
const AT_ONCE: usize = 10;
const TEAMS: [&str; 3] = ["team-a", "team-b", "team-c"];

/// What is ours of an object: its labels and annotations, and all of its content but what its server writes there.
fn ours(object: &DynamicObject) -> Value {
    let mut data = object.data.clone();
    data.as_object_mut().unwrap().remove("status");
    if let Some(spec) = data["spec"].as_object_mut() {
        spec.remove("skipImmediately");
    }
    let ours = |marks: Option<&BTreeMap<String, String>>| {
        let marks = marks.into_iter().flatten().filter(|(key, _)| !key.starts_with("someone.example/"));
        marks.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
    };
    let meta = object.meta();
    json!({ "labels": ours(meta.labels.as_ref()), "annotations": ours(meta.annotations.as_ref()), "data": data })
}

/// All that anybody but its server may write.
fn content(object: &DynamicObject) -> Value {
    let mut data = object.data.clone();
    data.as_object_mut().unwrap().remove("status");
    json!({ "labels": object.labels(), "annotations": object.annotations(), "data": data })
}

/// Something that somebody may do to a Schedule, as a merge patch.
fn edit(random: &mut impl Rng) -> Value {
    let edits = [
        json!({ "spec": { "schedule": "0 0 1 1 *" } }),
        json!({ "spec": { "paused": true } }),
        json!({ "spec": { "paused": null } }),
        json!({ "spec": { "skipImmediately": true } }),
        json!({ "spec": { "useOwnerReferencesInBackup": true } }),
        json!({ "spec": { "template": { "ttl": "1h" } } }),
        // The CRD takes them; nobody can read such a Schedule, Velero neither.
        json!({ "spec": { "template": { "ttl": "14d" } } }),
        json!({ "spec": { "template": { "itemOperationTimeout": "1d" } } }),
        json!({ "spec": { "template": { "includedNamespaces": ["*"] } } }),
        json!({ "spec": { "template": { "excludedResources": ["secrets"] } } }),
        json!({ "spec": { "template": { "labelSelector": null } } }),
        json!({ "spec": { "template": { "labelSelector": { "matchLabels": { "a": "b" } } } } }),
        json!({ "spec": { "template": { "snapshotVolumes": false } } }),
        json!({ "spec": { "template": { "storageLocation": "elsewhere" } } }),
        json!({ "spec": { "template": { "resourcePolicy": null } } }),
        json!({ "spec": { "template": { "metadata": { "labels": { "someone": "else" } } } } }),
        json!({ "spec": { "template": { "metadata": null } } }),
        json!({ "spec": { "template": { "hooks": { "resources": [{ "name": "theirs" }] } } } }),
        json!({ "metadata": { "labels": null } }),
        json!({ "metadata": { "labels": { "backup.agenttier.io/cluster": "west" } } }),
        json!({ "metadata": { "labels": { "backup.agenttier.io/namespace": "elsewhere" } } }),
        json!({ "metadata": { "annotations": null } }),
        json!({ "metadata": { "annotations": { "backup.agenttier.io/policy": "nobodys", "someone.example/a": "b" } } }),
    ];
    edits[random.random_range(0..edits.len())].clone()
}

/// What somebody may do to the ConfigMap.
fn edit_of_map(random: &mut impl Rng) -> Value {
    let edits = [
        json!({ "data": { "policy.yaml": "version: v1\n" } }),
        json!({ "data": { "another.yaml": "version: v1\n" } }),
        json!({ "data": null }),
        json!({ "metadata": { "labels": null } }),
    ];
    edits[random.random_range(0..edits.len())].clone()
}

fn untyped<K: Resource<DynamicType = ()>>(site: &Site) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<K>(&());
    Api::namespaced_with(site.stage.client.clone(), VELERO_NAMESPACE, &kind)
}

#[tokio::test]
async fn a_hundred_edits_by_another_writer_are_undone_and_then_it_is_quiet() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = random(seed);
    let site = Site::set("schedules-edits", Options::default()).await;
    let proxy = site.start_controller_behind_a_proxy().await;
    // None comes due in the meantime.
    site.policy(VeleroSpec {
        enabled: true,
        cron: "0 0 1 1 *".into(),
        ttl: "400d".into(),
        ..VeleroSpec::default()
    })
    .await;
    for team in TEAMS {
        site.team(team).await;
    }
    let names: Vec<String> = TEAMS.iter().map(|team| format!("east-{team}")).collect();
    let schedules = untyped::<Schedule>(&site);
    let maps = untyped::<ConfigMap>(&site);
    let mut rendered = Vec::new();
    for name in &names {
        let schedule =
            eventually(&format!("the Schedule {name}"), || async { Ok(schedules.get_opt(name).await?) })
                .await;
        rendered.push(ours(&schedule));
    }
    let map = ours(&maps.get(VOLUME_POLICY).await.unwrap());

    let merge = PatchParams { field_manager: Some("someone".into()), ..PatchParams::default() };
    let forced = PatchParams::apply("someone").force();
    let delete = DeleteParams::default();
    let mut made = 0;
    while made < EDITS {
        for _ in 0..AT_ONCE {
            let name = &names[random.random_range(0..names.len())];
            let kind = random.random_range(0..20);
            let (objects, name) =
                if (3..6).contains(&kind) { (&maps, VOLUME_POLICY) } else { (&schedules, &**name) };
            // It may not be there again yet.
            let Some(live) = objects.get_opt(name).await.unwrap() else { continue };
            let done = match kind {
                0..=3 => objects.delete(name, &delete).await.map(|_| None),
                4 | 5 => objects.patch(name, &merge, &Patch::Merge(edit_of_map(&mut random))).await.map(Some),
                6 | 7 => {
                    // Taken over by one who applies too. One that is not there must not be made: it would be theirs.
                    let taken = json!({
                        "apiVersion": "velero.io/v1",
                        "kind": "Schedule",
                        "metadata": { "name": name, "uid": live.uid() },
                        "spec": {
                            "schedule": "1 1 1 1 *",
                            "template": { "ttl": "2h", "defaultVolumesToFsBackup": true },
                        },
                    });
                    objects.patch(name, &forced, &Patch::Apply(&taken)).await.map(Some)
                }
                _ => objects.patch(name, &merge, &Patch::Merge(edit(&mut random))).await.map(Some),
            };
            match done {
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
                // What changes nothing is no edit.
                done => made += usize::from(done.unwrap().is_none_or(|now| content(&now) != content(&live))),
            }
        }
        nothing_odd("everything is as it was rendered", || async {
            let mut odd = Vec::new();
            for (name, rendered) in names.iter().zip(&rendered) {
                let found = schedules.get_opt(name).await?.as_ref().map(ours);
                if found.as_ref() != Some(rendered) {
                    odd.push(format!("{name}: {found:#?}"));
                }
            }
            let found = maps.get_opt(VOLUME_POLICY).await?.as_ref().map(ours);
            if found.as_ref() != Some(&map) {
                odd.push(format!("{VOLUME_POLICY}: {found:#?}"));
            }
            Ok(odd)
        })
        .await;
    }
    for name in &names {
        eventually(&format!("{name} to be enabled"), || async {
            let schedule = site.schedules().get(name).await?;
            let phase = schedule.status.as_ref().and_then(|status| status.phase.clone());
            Ok((phase == Some(SchedulePhase::Enabled)).then_some(()))
        })
        .await;
    }

    it_gets_quiet(&site, &proxy).await;
}

/// What there is to tell of the last edits is told within a minute or so; and then no more is.
async fn it_gets_quiet(site: &Site, proxy: &Proxy) {
    let but_the_lease = |writes: &[Write]| {
        let others = writes.iter().filter(|write| !write.path.contains("/leases/"));
        others.map(ToString::to_string).collect::<Vec<_>>()
    };
    // What is edited at once may be undone at once.
    assert!(but_the_lease(&proxy.writes()).len() >= EDITS / AT_ONCE, "the proxy shows what is written");
    site.told("AwaitingFirstBackups").await;
    let quiet_since = Cell::new((Instant::now(), proxy.writes().len()));
    eventually("a minute in which nothing but the Lease is written, by one that is at work", || async {
        let writes = proxy.writes();
        if !but_the_lease(&writes[quiet_since.get().1..]).is_empty() {
            quiet_since.set((Instant::now(), writes.len()));
        }
        let (since, written) = quiet_since.get();
        Ok((since.elapsed() >= QUIET && writes.len() > written).then_some(()))
    })
    .await;
    assert!(site.stage.is_well(&site.stage.controller().unwrap()).await.unwrap());
}
