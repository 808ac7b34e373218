//! The promises, held against every write that was stored. The marks are written out: the product's own word for
//! what is its own proves nothing here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::Value;
use testbed::{Change, Stored};

/// What was done in a history that breaks no promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Recovery points that were made.
    pub(crate) taken: usize,
    /// Recovery points whose deletion was begun.
    pub(crate) pruned: usize,
}

/// Goes through all writes in their order. `foreign` are the names of what must never be deleted.
///
/// # Errors
/// Names the first write that breaks a promise, and which.
pub(crate) fn audit(start: &Stored, history: &[Change], foreign: &BTreeSet<String>) -> Result<Tally> {
    let mut points: BTreeMap<&str, &Value> =
        start.objects.iter().map(|(name, point)| (name.as_str(), point)).collect();
    for name in foreign {
        ensure!(points.contains_key(name.as_str()), "{name} is to stay, but was not there to begin with");
    }
    // Names of all that were ever made for a slot of a volume.
    let mut made_for: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    for (name, point) in &points {
        if let Some(slot) = slot_of(point).filter(|_| !foreign.contains(*name)) {
            made_for.entry(slot).or_default().insert(name);
        }
    }
    let mut tally = Tally::default();
    for change in history {
        let (name, at) = (change.name.as_str(), change.revision);
        let before = points.get(name).copied();
        let leaves = change.object.as_ref().is_none_or(is_leaving);
        if before.is_some_and(|point| !is_leaving(point)) && leaves {
            ensure!(!foreign.contains(name), "write {at}: {name} is deleted, which is not ours to delete");
            let volume = volume_of(before.unwrap_or(&Value::Null));
            let last = before.is_some_and(is_ready)
                && !others(&points, name).any(|other| is_newer_and_good(other, before, volume, foreign));
            ensure!(!last, "write {at}: {name} is deleted, the newest ready point of its volume {volume:?}");
            tally.pruned += 1;
        }
        match &change.object {
            Some(point) => {
                if before.is_none() {
                    tally.taken += 1;
                    if let Some(slot) = slot_of(point) {
                        let made = made_for.entry(slot.clone()).or_default();
                        made.insert(name);
                        ensure!(made.len() == 1, "write {at}: {slot:?} is served more than once: {made:?}");
                    }
                    let volume = volume_of(point);
                    let under_way = |other: &&Value| volume_of(other) == volume && is_in_flight(other);
                    let second = others(&points, name).map(|(_, other)| other).any(|other| under_way(&other));
                    ensure!(volume.is_none() || !second, "write {at}: {name} is a second one under way");
                }
                points.insert(name, point);
            }
            None => {
                points.remove(name);
            }
        }
    }
    Ok(tally)
}

fn others<'p>(
    points: &'p BTreeMap<&'p str, &'p Value>,
    name: &'p str,
) -> impl Iterator<Item = (&'p str, &'p Value)> {
    points.iter().filter(move |(other, _)| **other != name).map(|(name, point)| (*name, *point))
}

/// Of the same volume, ready, newer, going to stay; and of the schedule: what people keep for themselves is no
/// excuse.
fn is_newer_and_good(
    (name, other): (&str, &Value),
    point: Option<&Value>,
    volume: Option<&str>,
    foreign: &BTreeSet<String>,
) -> bool {
    let created = |point: &Value| point["metadata"]["creationTimestamp"].as_str().map(str::to_owned);
    volume_of(other) == volume
        && is_ready(other)
        && !is_leaving(other)
        && !foreign.contains(name)
        && created(other) > point.and_then(created)
}

fn is_leaving(point: &Value) -> bool {
    point["metadata"]["deletionTimestamp"].is_string()
}

fn is_ready(point: &Value) -> bool {
    point["status"]["readyToUse"] == true
}

fn is_in_flight(point: &Value) -> bool {
    !is_ready(point) && !is_leaving(point)
}

fn volume_of(point: &Value) -> Option<&str> {
    point["metadata"]["annotations"]["backup.agenttier.io/volume-uid"].as_str()
}

fn slot_of(point: &Value) -> Option<(String, String)> {
    let slot = point["metadata"]["annotations"]["backup.agenttier.io/slot"].as_str()?;
    Some((volume_of(point)?.to_owned(), slot.to_owned()))
}

/// An audit that finds nothing is worth as much as what it would find.
mod tests {
    use serde_json::json;

    use super::*;

    fn point(slot: &str, created: u32, ready: bool, leaving: bool) -> Value {
        let mut point = json!({
            "metadata": {
                "creationTimestamp": format!("2026-01-{created:02}T00:00:00Z"),
                "annotations": {
                    "backup.agenttier.io/volume-uid": "v", "backup.agenttier.io/slot": slot,
                },
            },
            "status": { "readyToUse": ready },
        });
        if leaving {
            point["metadata"]["deletionTimestamp"] = json!("2026-02-01T00:00:00Z");
        }
        point
    }

    fn start() -> Stored {
        let objects = [
            ("n/old".to_owned(), point("1", 1, true, false)),
            ("n/new".to_owned(), point("2", 2, true, false)),
            ("n/pinned".to_owned(), point("0", 9, true, false)),
        ];
        Stored { revision: 1, objects: objects.into() }
    }

    fn verdict(history: &[(&str, Option<Value>)]) -> Result<Tally, String> {
        let history: Vec<Change> = history
            .iter()
            .zip(2..)
            .map(|((name, object), revision)| Change {
                revision,
                name: format!("n/{name}"),
                object: object.clone(),
            })
            .collect();
        audit(&start(), &history, &["n/pinned".to_owned()].into()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_right_is_counted() {
        let taken = [
            ("next", Some(point("3", 3, false, false))),
            ("old", Some(point("1", 1, true, true))),
            ("old", None),
            ("next", Some(point("3", 3, true, false))),
            ("new", None),
        ];
        assert_eq!(verdict(&taken), Ok(Tally { taken: 1, pruned: 2 }));
    }

    #[test]
    fn what_is_wrong_is_found() {
        let next = |name, slot| (name, Some(point(slot, 3, false, false)));
        let cases = [
            ("not ours to delete", vec![("pinned", None)]),
            ("not ours to delete", vec![("pinned", Some(point("0", 9, true, true)))]),
            ("the newest ready point", vec![("new", Some(point("2", 2, true, true)))]),
            ("the newest ready point", vec![next("next", "3"), ("new", None)]),
            ("the newest ready point", vec![("old", None), ("new", None)]),
            ("served more than once", vec![next("again", "2")]),
            (
                "served more than once",
                vec![next("a", "3"), ("a", Some(point("3", 3, true, false))), next("b", "3")],
            ),
            ("a second one under way", vec![next("a", "3"), next("b", "4")]),
        ];
        for (what, history) in cases {
            let found = verdict(&history).expect_err(what);
            assert!(found.contains(what), "{found}");
        }
    }
}
