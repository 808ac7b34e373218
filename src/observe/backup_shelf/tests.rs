use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use velero::{Cron, Schedule, labels};

use super::*;
use crate::schedules::{Course, Patience, Way, course};

const SCHEDULES: [&str; 2] = ["east-team-a", "east-team-b"];
const PHASES: [&str; 7] = [
    "New",
    "InProgress",
    "WaitingForPluginOperations",
    "Completed",
    "Completed",
    "PartiallyFailed",
    "Failed",
];

/// What somebody may see happen to a backup.
#[derive(Debug, Clone)]
struct Happening {
    number: u8,
    schedule: &'static str,
    /// `None`: it is gone.
    phase: Option<&'static str>,
    begun: i64,
    took: i64,
    volumes: Option<i64>,
}

fn happening() -> impl Strategy<Value = Happening> {
    let phase = proptest::option::weighted(0.8, select(&PHASES[..]));
    (0..12_u8, select(&SCHEDULES[..]), phase, 0..400_i64, 0..90_i64, proptest::option::of(0..3_i64)).prop_map(
        |(number, schedule, phase, begun, took, volumes)| Happening {
            number,
            schedule,
            phase,
            begun,
            took,
            volumes,
        },
    )
}

/// Hours after the first moment of 1970, and minutes.
fn backup(happening: &Happening, phase: &str) -> Backup {
    let at = |seconds: i64| Timestamp::from_second(seconds).expect("a time").to_string();
    let (begun, ended) = (happening.begun * 3600, happening.begun * 3600 + happening.took * 60);
    let mut backup = json!({
        "metadata": {
            "name": format!("b{}", happening.number),
            "namespace": "velero",
            "uid": format!("uid-{}", happening.number),
            "creationTimestamp": at(begun),
            "labels": { labels::SCHEDULE_NAME: happening.schedule },
            "managedFields": [{ "manager": "velero-server" }],
        },
        "spec": { "storageLocation": "default", "includedNamespaces": ["team-a"] },
        "status": { "phase": phase, "csiVolumeSnapshotsAttempted": happening.volumes, "errors": happening.volumes },
    });
    if phase != "New" {
        backup["status"]["startTimestamp"] = at(begun).into();
    }
    if ["Completed", "PartiallyFailed", "Failed"].contains(&phase) {
        backup["status"]["completionTimestamp"] = at(ended).into();
    }
    serde_json::from_value(backup).expect("a Backup")
}

fn course_of<'a>(schedule: &str, backups: impl Iterator<Item = &'a Backup> + Clone) -> Course {
    let schedule: Schedule = serde_json::from_value(json!({
        "metadata": { "name": schedule, "creationTimestamp": "1970-01-01T00:00:00Z" },
        "spec": { "schedule": "0 */6 * * *", "template": {} },
        "status": { "phase": "Enabled", "lastBackup": "1970-01-17T00:00:30Z" },
    }))
    .expect("a Schedule");
    let cron: Cron = schedule.spec.schedule.parse().expect("cron");
    let its = backups
        .filter(|backup| backup.labels().get(labels::SCHEDULE_NAME) == schedule.metadata.name.as_ref());
    let now = "1970-01-17T06:20:00Z".parse().expect("a time");
    course(now, Patience::with(2), &schedule, Some(&cron), Way::beside(its.clone()), its)
}

/// What there is to be seen of each, whatever way it took.
fn shown(shelf: &mut Shelf) -> BTreeMap<String, Backup> {
    let telling = shelf.telling().expect("it was filled");
    telling.iter().map(|backup| (backup.name_any(), backup.as_ref().clone())).collect()
}

proptest! {
    #[test]
    fn what_is_shown_tells_as_much_as_all_of_them(
        listed in proptest::collection::vec(happening(), 0..12),
        seen in proptest::collection::vec(happening(), 0..30),
    ) {
        let mut shelf = Shelf::default();
        prop_assert!(shelf.telling().is_none());
        let mut all: BTreeMap<String, Backup> = BTreeMap::new();
        shelf.take(Event::Init);
        for happening in &listed {
            let backup = backup(happening, happening.phase.unwrap_or("Completed"));
            shelf.take(Event::InitApply(backup.clone()));
            all.insert(backup.name_any(), backup);
        }
        prop_assert!(shelf.take(Event::InitDone));
        for happening in &seen {
            let backup = backup(happening, happening.phase.unwrap_or("New"));
            if happening.phase.is_some() {
                shelf.take(Event::Apply(backup.clone()));
                prop_assert!(!shelf.take(Event::Apply(backup.clone())), "the second time it is no news");
                all.insert(backup.name_any(), backup);
            } else {
                let was_there = all.remove(&backup.name_any()).is_some();
                prop_assert_eq!(shelf.take(Event::Delete(backup)), was_there);
            }
            let shown = shown(&mut shelf);
            for schedule in SCHEDULES {
                prop_assert_eq!(course_of(schedule, shown.values()), course_of(schedule, all.values()));
                let has_any = |backups: &BTreeMap<String, Backup>| {
                    backups.values().any(|backup| backup.labels()[labels::SCHEDULE_NAME] == schedule)
                };
                prop_assert_eq!(has_any(&shown), has_any(&all));
            }
            for (name, backup) in &shown {
                let mut whole = all[name].clone();
                whole.trim();
                let is_failed = !whole.status.clone().unwrap_or_default().phase.is_some_and(|it| it.is_success());
                if !is_failed {
                    (whole.metadata.uid, whole.status.get_or_insert_default().errors) = (None, None);
                }
                prop_assert_eq!(backup, &whole);
            }
        }
        prop_assert_eq!(shelf.names.len(), all.len());
        prop_assert_eq!(shelf.kinds.values().map(|kind| kind.backups.len()).sum::<usize>(), all.len());
    }
}

/// A list that begins anew hides nothing until it is at its end, and then forgets what is gone.
#[test]
fn a_list_takes_the_place_of_what_was_there_at_its_end() {
    let one = |number| {
        let happening =
            Happening { number, schedule: SCHEDULES[0], phase: None, begun: 1, took: 1, volumes: None };
        backup(&happening, "Completed")
    };
    let mut shelf = Shelf::default();
    for event in
        [Event::Init, Event::InitApply(one(1)), Event::InitDone, Event::Init, Event::InitApply(one(2))]
    {
        shelf.take(event);
    }
    assert_eq!(shown(&mut shelf).into_keys().collect::<Vec<_>>(), ["b1"]);
    shelf.take(Event::InitDone);
    assert_eq!(shown(&mut shelf).into_keys().collect::<Vec<_>>(), ["b2"]);
}
