//! How an object in the cluster differs from what was rendered.

use kube::Resource;
use serde::Serialize;
use serde_json::{Map, Value};

/// What has to be done about an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drift {
    /// Something that is rendered is missing or otherwise there.
    pub changed: bool,
    /// What somebody has added below `spec` (or `data`) as a merge patch that takes it away; `None` where nobody has.
    /// Server-side apply leaves alone what others have added.
    pub added: Option<Value>,
}

impl Drift {
    /// Whether nothing has to be done.
    #[must_use]
    pub fn is_none(&self) -> bool {
        !self.changed && self.added.is_none()
    }
}

/// Compares an object with what it is to be. Of its metadata, rendered labels and annotations count; what others have
/// added there is theirs. Of everything else, all counts but `status` and the fields of `spec` that are the server's.
#[must_use]
pub fn drift<K>(live: &K, wanted: &K, servers: &[&str]) -> Drift
where
    K: Resource<DynamicType = ()> + Serialize,
{
    of_contents(content(live, servers), content(wanted, servers))
}

/// The same for an object that cannot be read as what it is to be.
#[must_use]
pub(super) fn drift_unread<K: Serialize>(live: &Value, wanted: &K, servers: &[&str]) -> Drift {
    of_contents(content(live, servers), content(wanted, servers))
}

fn of_contents(live: Map<String, Value>, wanted: Map<String, Value>) -> Drift {
    let metadata = |of: &Map<String, Value>| of.get("metadata").cloned().unwrap_or_default();
    let (live_meta, wanted_meta) = (metadata(&live), metadata(&wanted));
    let marks = ["labels", "annotations"].iter().any(|marks| {
        let is_there = |(key, value): (&String, &Value)| live_meta[*marks].get(key) == Some(value);
        wanted_meta[*marks].as_object().is_some_and(|wanted| !wanted.iter().all(is_there))
    });
    let rest = |of: Map<String, Value>| {
        let rest = of.into_iter().filter(|(key, _)| key != "metadata");
        rest.collect::<Map<_, _>>()
    };
    let (live, wanted) = (rest(live), rest(wanted));
    let added = removal(&live, &wanted);
    Drift {
        changed: marks || !is_within(&wanted, &live),
        added: (!added.is_empty()).then_some(Value::Object(added)),
    }
}

/// All of an object that counts, as a manifest: without `status`, what the server or others have added to its metadata,
/// and what says the same as nothing. Of labels and annotations those that `like` has.
pub(super) fn manifest<K>(object: &K, like: &K, servers: &[&str]) -> Value
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let mut manifest = content(object, servers);
    let meta = object.meta();
    let mut metadata = Map::new();
    for (key, value) in [("name", &meta.name), ("namespace", &meta.namespace)] {
        metadata.extend(value.clone().map(|value| (key.to_owned(), Value::from(value))));
    }
    let pairs = [
        ("labels", &meta.labels, &like.meta().labels),
        ("annotations", &meta.annotations, &like.meta().annotations),
    ];
    for (key, marks, like) in pairs {
        let known = |key: &String| like.as_ref().is_some_and(|like| like.contains_key(key));
        let marks = marks.iter().flatten().filter(|(key, _)| known(key));
        let marks: Map<_, _> = marks.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        if !marks.is_empty() {
            metadata.insert(key.to_owned(), Value::Object(marks));
        }
    }
    manifest.insert("metadata".to_owned(), Value::Object(metadata));
    manifest.insert("apiVersion".to_owned(), Value::from(K::api_version(&())));
    manifest.insert("kind".to_owned(), Value::from(K::kind(&())));
    Value::Object(manifest)
}

fn content<K: Serialize>(object: &K, servers: &[&str]) -> Map<String, Value> {
    let Ok(Value::Object(mut object)) = serde_json::to_value(object) else {
        unreachable!("every Kubernetes object is a JSON object");
    };
    for key in ["apiVersion", "kind", "status"] {
        object.remove(key);
    }
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        for field in servers {
            spec.remove(*field);
        }
    }
    object.into_iter().filter_map(|(key, value)| Some((key, without_nothing(value)?))).collect()
}

/// Without what says the same as nothing: null, and empty objects and lists in objects.
fn without_nothing(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let fields: Map<_, _> =
                fields.into_iter().filter_map(|(key, value)| Some((key, without_nothing(value)?))).collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        Value::Array(items) if items.is_empty() => None,
        value => Some(value),
    }
}

/// Whether all of one is in the other.
fn is_within(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.iter().all(|(key, value)| match (value, other.get(key)) {
        (Value::Object(one), Some(Value::Object(other))) => is_within(one, other),
        (one, other) => Some(one) == other,
    })
}

/// The merge patch that takes away what is in `live` and not in `wanted`.
fn removal(live: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let patch = live.iter().filter_map(|(key, value)| match (value, wanted.get(key)) {
        (_, None) => Some((key.clone(), Value::Null)),
        (Value::Object(live), Some(Value::Object(wanted))) => {
            let patch = removal(live, wanted);
            (!patch.is_empty()).then(|| (key.clone(), Value::Object(patch)))
        }
        _ => None,
    });
    patch.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use velero::Schedule;

    use super::*;

    fn schedule(change: impl FnOnce(&mut Value)) -> Schedule {
        let mut schedule = json!({
            "apiVersion": "velero.io/v1",
            "kind": "Schedule",
            "metadata": { "name": "east-team-a", "labels": { "ours": "1" } },
            "spec": {
                "schedule": "36 4 * * *",
                "paused": false,
                "template": {
                    "metadata": { "labels": { "ours": "1" } },
                    "includedNamespaces": ["team-a"],
                    "ttl": "336h",
                },
            },
        });
        change(&mut schedule);
        serde_json::from_value(schedule).expect("a Schedule")
    }

    fn drift_by(change: impl FnOnce(&mut Value)) -> Drift {
        drift(&schedule(change), &schedule(|_| {}), &["skipImmediately"])
    }

    #[test]
    fn what_says_the_same_is_no_drift() {
        assert!(drift_by(|_| {}).is_none());
        assert!(
            drift_by(|live| {
                live["metadata"]["labels"]["theirs"] = json!("2");
                live["metadata"]["annotations"] = json!({ "theirs": "2" });
                live["metadata"]["resourceVersion"] = json!("7");
                live["spec"]["template"]["ttl"] = json!("336h0m0s");
                live["spec"]["template"]["hooks"] = json!({});
                live["spec"]["template"]["excludedNamespaces"] = json!([]);
                live["spec"]["skipImmediately"] = json!(true);
                live["status"] = json!({ "phase": "Enabled" });
            })
            .is_none()
        );
    }

    #[test]
    fn what_is_otherwise_is_applied_again() {
        let changes: [fn(&mut Value); 6] = [
            |live| live["spec"]["paused"] = json!(true),
            |live| live["spec"]["schedule"] = json!("* * * * *"),
            |live| live["spec"]["template"]["ttl"] = json!("1h"),
            |live| live["spec"]["template"]["includedNamespaces"] = json!(["team-a", "team-b"]),
            |live| live["spec"]["template"] = json!({}),
            |live| live["metadata"]["labels"] = json!({}),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let drift = drift_by(change);
            assert!(drift.changed && drift.added.is_none(), "{at}: {drift:?}");
        }
    }

    #[test]
    fn what_others_have_added_is_taken_away() {
        let drift = drift_by(|live| {
            live["spec"]["useOwnerReferencesInBackup"] = json!(true);
            live["spec"]["template"]["excludedResources"] = json!(["secrets"]);
            // No would be yes if nobody said it.
            live["spec"]["template"]["snapshotVolumes"] = json!(false);
            live["spec"]["template"]["metadata"]["labels"]["theirs"] = json!("2");
        });
        assert!(!drift.changed);
        assert_eq!(
            drift.added,
            Some(json!({ "spec": {
                "useOwnerReferencesInBackup": null,
                "template": {
                    "excludedResources": null, "snapshotVolumes": null, "metadata": { "labels": { "theirs": null } },
                },
            }}))
        );
    }
}
