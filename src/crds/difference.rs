//! What two definitions differ in, field by field.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// Something that two definitions differ in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The field: below a version's name as a user of the kind writes it, such as `v1alpha1.spec.snapshots.interval`,
    /// or with a keyword of the schema behind it.
    pub field: String,
    /// What became of it.
    pub change: Change,
}

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It says something else.
    Changed,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        };
        write!(f, "{sign} {}", self.field)
    }
}

/// Names what the definition `after` has otherwise than `before`: both as the API server gives their `spec`, so that
/// its defaults are in both. Of what is new or gone as a whole, only the top is named.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(before), Value::Object(after)) => fields(path, before, after, found),
        (Value::Array(before), Value::Array(after)) => match (named(before), named(after)) {
            (Some(before), Some(after)) => fields(path, &before, &after, found),
            _ => found.push(Difference { field: path.to_owned(), change: Change::Changed }),
        },
        _ => found.push(Difference { field: path.to_owned(), change: Change::Changed }),
    }
}

fn fields(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<Difference>) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let field = below(path, key);
        match (before.get(key), after.get(key)) {
            (Some(before), Some(after)) => compare(&field, before, after, found),
            (None, Some(_)) => found.push(Difference { field, change: Change::Added }),
            (Some(_), None) => found.push(Difference { field, change: Change::Removed }),
            (None, None) => {}
        }
    }
}

/// The path of a field, without what only a schema's author sees.
fn below(path: &str, key: &str) -> String {
    match key {
        "versions" | "schema" | "openAPIV3Schema" | "properties" => path.to_owned(),
        "items" => format!("{path}[]"),
        _ if path.is_empty() => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// A list of things with names, such as versions and printer columns, by these.
fn named(list: &[Value]) -> Option<Map<String, Value>> {
    list.iter().map(|item| Some((item.get("name")?.as_str()?.to_owned(), item.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        differences(before, after).iter().map(ToString::to_string).collect()
    }

    fn version(spec: &Value) -> Value {
        let properties = json!({ "spec": { "type": "object", "properties": spec } });
        json!({ "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": { "properties": properties } } }] })
    }

    #[test]
    fn fields_are_named_as_users_write_them() {
        let before = version(&json!({
            "interval": { "type": "string", "pattern": "a" },
            "old": { "type": "object", "properties": { "deep": { "type": "string" } } },
            "list": { "type": "array", "items": { "properties": { "key": { "minLength": 1 } } } },
        }));
        let after = version(&json!({
            "interval": { "type": "string", "pattern": "b" },
            "list": { "type": "array", "items": { "properties": { "key": { "minLength": 2 } } } },
            "new": { "type": "string" },
        }));
        let wanted = [
            "~ v1.spec.interval.pattern",
            "~ v1.spec.list[].key.minLength",
            "+ v1.spec.new",
            "- v1.spec.old",
        ];
        assert_eq!(told(&before, &after), wanted);
        assert_eq!(told(&before, &before), [""; 0]);
    }

    #[test]
    fn things_with_names_are_told_apart_by_them_and_other_lists_as_a_whole() {
        let columns = |names: &[&str]| json!({ "columns": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() });
        assert_eq!(told(&columns(&["A", "B"]), &columns(&["B", "C"])), ["- columns.A", "+ columns.C"]);
        let names = |names: &[&str]| json!({ "names": { "shortNames": names } });
        assert_eq!(told(&names(&["a"]), &names(&["a", "b"])), ["~ names.shortNames"]);
    }
}
