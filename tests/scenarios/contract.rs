//! Our Sandbox type and AgentTier's CRD, held against each other both ways.

use agenttier_backup::agenttier::Sandbox;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value, json};

/// The fields that our type knows by name; everything else it carries along.
const TYPED: &[&str] = &[
    "spec.templateRef.name",
    "spec.templateRef.kind",
    "spec.templateRef.namespace",
    "spec.storage.size",
    "spec.storage.storageClass",
    "spec.storage.shared",
    "spec.cloneFromSnapshot",
    "status.phase",
    "status.podName",
    "status.pvcName",
    "status.message",
    "status.lastActivityTimestamp",
    "status.agentConfigure",
];

fn schema() -> JSONSchemaProps {
    let crd = double::crds().into_iter().find(|crd| crd.spec.names.kind == "Sandbox").unwrap();
    let version = crd.spec.versions.into_iter().find(|version| version.name == "v1alpha1").unwrap();
    version.schema.unwrap().open_api_v3_schema.unwrap()
}

/// A value for every field of the schema.
fn sample(schema: &JSONSchemaProps) -> Value {
    if let Some(first) = schema.enum_.as_ref().and_then(|values| values.first()) {
        return first.0.clone();
    }
    match schema.type_.as_deref() {
        Some("object") => {
            let mut object = Map::new();
            for (name, field) in schema.properties.iter().flatten() {
                object.insert(name.clone(), sample(field));
            }
            if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
                object.insert("any".into(), sample(values));
            }
            Value::Object(object)
        }
        Some("array") => match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => json!([sample(item)]),
            _ => json!([]),
        },
        Some("boolean") => json!(true),
        Some("integer") => json!(7),
        Some("string") if schema.format.as_deref() == Some("date-time") => json!("2026-01-02T03:04:05Z"),
        _ if schema.x_kubernetes_int_or_string == Some(true) => json!("10Gi"),
        _ => json!("text"),
    }
}

fn full() -> Value {
    let mut value = sample(&schema());
    value["apiVersion"] = json!("agenttier.io/v1alpha1");
    value["kind"] = json!("Sandbox");
    value["metadata"] = json!({ "name": "s1", "namespace": "team-a" });
    value
}

#[test]
fn every_field_of_the_crd_survives_a_round_trip() {
    let mut value = full();
    assert!(value["spec"].as_object().unwrap().len() > 15, "the sample is not empty: {value}");
    value["spec"]["ofTheFuture"] = json!({ "a": [1, 2.5, null] });
    value["spec"]["storage"]["ofTheFuture"] = json!("x");
    value["spec"]["templateRef"]["ofTheFuture"] = json!("x");
    value["status"]["ofTheFuture"] = json!(false);
    let typed: Sandbox = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), value);
}

#[test]
fn every_field_that_we_name_is_in_the_crd() {
    let root = schema();
    for path in TYPED {
        let found = path.split('.').try_fold(&root, |schema, name| schema.properties.as_ref()?.get(name));
        assert!(found.is_some(), "the CRD has no {path}");
    }
    // And the list is complete: what our type does not name ends among the others.
    let typed: Sandbox = serde_json::from_value(full()).unwrap();
    let mut named = vec![];
    let mut collect = |prefix: &str, whole: &Value, others: &[&Map<String, Value>]| {
        for name in whole.as_object().unwrap().keys() {
            if !others.iter().any(|other| other.contains_key(name)) {
                named.push(format!("{prefix}.{name}"));
            }
        }
    };
    let value = full();
    let spec = &typed.spec;
    let (template, storage) = (spec.template_ref.as_ref().unwrap(), spec.storage.as_ref().unwrap());
    let nested: Map<String, Value> = [("templateRef", Value::Null), ("storage", Value::Null)]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
    collect("spec", &value["spec"], &[&spec.other, &nested]);
    collect("spec.templateRef", &value["spec"]["templateRef"], &[&template.other]);
    collect("spec.storage", &value["spec"]["storage"], &[&storage.other]);
    collect("status", &value["status"], &[&typed.status.as_ref().unwrap().other]);
    named.sort();
    let mut expected: Vec<String> = TYPED.iter().map(|path| (*path).to_owned()).collect();
    expected.sort();
    assert_eq!(named, expected);
}

/// An object that AgentTier has not touched yet has no status; a half-written one has nulls.
#[test]
fn nulls_and_absence_are_no_error() {
    for value in [
        json!({ "metadata": { "name": "s" } }),
        json!({ "metadata": { "name": "s" }, "spec": {} }),
        json!({ "metadata": { "name": "s" }, "spec": { "templateRef": null, "storage": null }, "status": null }),
        json!({ "metadata": { "name": "s" }, "spec": {}, "status": { "phase": null, "pvcName": "" } }),
    ] {
        let mut value = value;
        value["apiVersion"] = json!("agenttier.io/v1alpha1");
        value["kind"] = json!("Sandbox");
        let sandbox: Sandbox = serde_json::from_value(value).unwrap();
        assert_eq!((sandbox.phase(), sandbox.claim(), sandbox.pod()), ("", None, None));
    }
}
