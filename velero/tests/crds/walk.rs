//! A type, held against the schema of a CRD.
//!
//! Unknown fields are kept by our types, so that it is not enough that an object is read. From the schema an object is
//! made with every property filled in; it has to come back as it went. Then one place after another gets a value of a
//! wrong type: where that is read, there is no field.

use std::fmt::Debug;

use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// What is wrong, a line each.
pub(crate) type Problems = Vec<String>;

/// A CustomResourceDefinition with one version.
pub(crate) struct Crd(Value);

/// A value in the sample, and its schema.
struct Place<'a> {
    pointer: String,
    schema: &'a Value,
    required: bool,
}

impl Crd {
    pub(crate) fn new(crd: Value) -> Self {
        assert_eq!(crd["spec"]["versions"].as_array().map(Vec::len), Some(1), "{crd}");
        Self(crd)
    }

    pub(crate) fn kind(&self) -> &str {
        self.0["spec"]["names"]["kind"].as_str().unwrap()
    }

    fn version(&self) -> &Value {
        &self.0["spec"]["versions"][0]
    }

    fn property(&self, name: &str) -> &Value {
        &self.version()["schema"]["openAPIV3Schema"]["properties"][name]
    }

    /// An object with every property.
    fn sample(&self) -> Value {
        json!({
            "apiVersion": format!("{}/{}", self.0["spec"]["group"].as_str().unwrap(), self.version()["name"].as_str().unwrap()),
            "kind": self.kind(),
            "metadata": { "name": "sample", "namespace": "velero" },
            "spec": sample(self.property("spec")),
            "status": sample(self.property("status")),
        })
    }

    /// Every property, item and map value below spec and status.
    fn places(&self) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        for name in ["spec", "status"] {
            add_places(&mut places, &format!("/{name}"), self.property(name));
        }
        places
    }
}

/// A value that fits a schema, with everything in it.
fn sample(schema: &Value) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values[0].clone();
    }
    match schema["type"].as_str() {
        Some("object") if schema["additionalProperties"].is_object() => {
            json!({ "key": sample(&schema["additionalProperties"]) })
        }
        Some("object") => properties(schema).map(|(name, schema)| (name.clone(), sample(schema))).collect(),
        Some("array") => json!([sample(&schema["items"])]),
        Some("boolean") => json!(true),
        Some("integer") => json!(7),
        Some("string") => match schema["format"].as_str() {
            Some("date-time") => json!("2026-06-01T03:17:00Z"),
            Some("byte") => json!("c2FtcGxl"),
            // A length of time, as good as any other text: the schema does not say where one is meant.
            None => json!("1h0m0s"),
            Some(other) => panic!("a text of an unknown format: {other}"),
        },
        _ => panic!("a schema of an unknown type: {schema}"),
    }
}

/// A value that no field takes that is made for the schema.
fn of_wrong_type(schema: &Value) -> Value {
    if schema["type"] == "string" { json!(7) } else { json!("1h0m0s") }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

fn add_places<'a>(places: &mut Vec<Place<'a>>, pointer: &str, schema: &'a Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in properties(schema) {
        let pointer = format!("{pointer}/{name}");
        add_places(places, &pointer, schema);
        places.push(Place { pointer, schema, required: required.contains(&json!(name)) });
    }
    for (name, schema) in [("0", &schema["items"]), ("key", &schema["additionalProperties"])] {
        if schema.is_object() {
            let pointer = format!("{pointer}/{name}");
            add_places(places, &pointer, schema);
            places.push(Place { pointer, schema, required: true });
        }
    }
}

/// Holds a type against its CRD.
pub(crate) fn check<K>(crd: &Crd) -> Problems
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Debug,
{
    let mut problems = Problems::new();
    let names = (K::group(&()), K::version(&()), K::plural(&()));
    let published = (&crd.0["spec"]["group"], &crd.version()["name"], &crd.0["spec"]["names"]["plural"]);
    if (&json!(names.0), &json!(names.1), &json!(names.2)) != published {
        problems.push(format!("{}: {names:?} is called {published:?}", crd.kind()));
    }
    problems.extend(check_fields::<K>(crd));
    problems
}

fn check_fields<T: Serialize + DeserializeOwned + Debug>(crd: &Crd) -> Problems {
    let sample = crd.sample();
    let read = |value: &Value| serde_json::from_value::<T>(value.clone());
    let mut problems = Problems::new();
    let mut report = |pointer: &str, what: &str| problems.push(format!("{}{pointer}: {what}", crd.kind()));
    match read(&sample) {
        Ok(object) if serde_json::to_value(&object).unwrap() == sample => {}
        Ok(object) => report("", &format!("does not come back as it went: {object:?}")),
        Err(error) => report("", &format!("{error}: {sample}")),
    }
    let with = |pointer: &str, value: Value| {
        let mut changed = sample.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    for Place { pointer, schema, required } in crd.places() {
        if read(&with(&pointer, of_wrong_type(schema))).is_ok() {
            report(&pointer, "is not typed");
        }
        if schema["nullable"] == true && read(&with(&pointer, Value::Null)).is_err() {
            report(&pointer, "may be null");
        }
        if !required && read(&without(&sample, &pointer)).is_err() {
            report(&pointer, "may be absent");
        }
        for value in schema["enum"].as_array().into_iter().flatten() {
            match read(&with(&pointer, value.clone())) {
                Ok(object) if !format!("{object:?}").contains(&format!("Other({value})")) => {}
                _ => report(&pointer, &format!("may be {value}")),
            }
        }
    }
    problems
}

fn without(sample: &Value, pointer: &str) -> Value {
    let mut changed = sample.clone();
    let (object, name) = pointer.rsplit_once('/').unwrap();
    changed.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    changed
}

/// The walk finds what it is there to find.
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Object {
        #[serde(flatten)]
        kept: Map<String, Value>,
        spec: Spec,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Spec {
        text: String,
        mode: Mode,
        #[serde(flatten)]
        other: Map<String, Value>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    enum Mode {
        On,
        #[serde(untagged)]
        Other(String),
    }

    fn crd(spec: &Value, required: &[&str]) -> Crd {
        Crd::new(json!({ "spec": {
            "group": "velero.io",
            "names": { "kind": "Object", "plural": "objects" },
            "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": { "properties": {
                "spec": { "type": "object", "properties": spec, "required": required },
                "status": { "type": "object" },
            }}}}],
        }}))
    }

    #[test]
    fn what_fits_is_no_problem() {
        let spec = json!({ "text": { "type": "string" }, "mode": { "type": "string", "enum": ["On"] } });
        assert_eq!(check_fields::<Object>(&crd(&spec, &["text", "mode"])), Problems::new());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let spec = json!({
            "text": { "type": "string", "nullable": true },
            "mode": { "type": "string", "enum": ["On", "Off"] },
            "deep": { "type": "array", "items": { "type": "object", "properties": {
                "names": { "type": "object", "additionalProperties": { "type": "string" } },
            }}},
        });
        let mut problems = check_fields::<Object>(&crd(&spec, &["mode"]));
        problems.sort();
        assert_eq!(
            problems,
            [
                "Object/spec/deep/0/names/key: is not typed",
                "Object/spec/deep/0/names: is not typed",
                "Object/spec/deep/0: is not typed",
                "Object/spec/deep: is not typed",
                "Object/spec/mode: may be \"Off\"",
                "Object/spec/text: may be absent",
                "Object/spec/text: may be null",
            ]
        );
    }

    #[test]
    fn what_is_lost_is_found() {
        let spec = json!({ "text": { "type": "string" }, "mode": { "type": "string" } });
        let problems = check_fields::<Lossy>(&crd(&spec, &["text", "mode"]));
        assert!(problems[0].starts_with("Object: does not come back as it went"), "{problems:?}");
    }

    /// Like many types that are generated: unknown fields are dropped.
    #[derive(Debug, Serialize, Deserialize)]
    struct Lossy {
        spec: Value,
    }
}
