//! The double's CRDs as the API server understands them.

use double::sandboxes;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Map, Value, json};

use crate::place::Place;

fn schema(index: usize) -> JSONSchemaProps {
    let version = double::crds().swap_remove(index).spec.versions.swap_remove(0);
    version.schema.and_then(|schema| schema.open_api_v3_schema).expect("a schema")
}

/// A value of every field of a schema.
fn sample(schema: &JSONSchemaProps) -> Value {
    if let Some(properties) = &schema.properties {
        let mut fields: Map<_, _> =
            properties.iter().map(|(name, field)| (name.clone(), sample(field))).collect();
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            fields.insert("unknown".into(), json!({"anything": ["goes"]}));
        }
        return Value::Object(fields);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return json!({"key": sample(values)});
    }
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return json!({"anything": {"goes": [1, "two"]}});
    }
    match (schema.type_.as_deref(), schema.format.as_deref(), &schema.enum_) {
        (_, _, Some(values)) => values.last().expect("an enum has values").0.clone(),
        (Some("string"), Some("date-time"), _) => json!("2026-06-01T12:00:00Z"),
        (Some("string"), ..) => json!("Text"),
        (Some("integer"), ..) => json!(3),
        (Some("boolean"), ..) => json!(true),
        (Some("array"), ..) => match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => json!([sample(item)]),
            other => panic!("items: {other:?}"),
        },
        (None, ..) if schema.x_kubernetes_int_or_string == Some(true) => json!("7Gi"),
        other => panic!("no sample of {other:?}"),
    }
}

#[tokio::test]
async fn a_sandbox_with_every_field_comes_back_as_it_went() {
    let place = Place::shared("round-trip").await;
    let properties = schema(0).properties.unwrap();
    let mut sent = DynamicObject::new("full", &sandboxes()).within(&place.namespace);
    sent.data = json!({"spec": sample(&properties["spec"])});
    assert_eq!(sent.data["spec"].as_object().unwrap().len(), 19, "AgentTier's spec has 19 fields");
    let api = place.user.sandboxes();
    let mut kept = api.create(&PostParams::default(), &sent).await.unwrap();
    assert_eq!(kept.data["spec"], sent.data["spec"]);

    let status = sample(&properties["status"]);
    kept.data["status"] = status.clone();
    api.replace_status("full", &PostParams::default(), &kept).await.unwrap();
    let read = api.get("full").await.unwrap();
    assert_eq!(read.data["status"], status);
    assert_eq!(read.data["spec"], sent.data["spec"]);
}

#[tokio::test]
async fn status_is_a_subresource_and_fields_have_their_defaults() {
    let place = Place::shared("defaults").await;
    let mut sent = DynamicObject::new("s1", &sandboxes()).within(&place.namespace);
    sent.data = json!({
        "spec": {"storage": {}, "templateRef": {"name": "t"}, "unknown": 1},
        "status": {"phase": "Running"},
    });
    let kept = place.user.sandboxes().create(&PostParams::default(), &sent).await.unwrap();
    assert_eq!(kept.data["status"], Value::Null);
    let expected = json!({
        "mode": "code",
        "storage": {"size": "10Gi", "mountPath": "/workspace"},
        "templateRef": {"name": "t", "kind": "SandboxTemplate"},
    });
    assert_eq!(kept.data["spec"], expected);

    let empty = DynamicObject { data: json!({}), ..DynamicObject::new("s2", &sandboxes()) };
    let kept = place.user.sandboxes().create(&PostParams::default(), &empty).await.unwrap();
    assert_eq!(kept.data["spec"], Value::Null);
}

#[tokio::test]
async fn what_agenttier_refuses_is_refused() {
    let place = Place::shared("refused").await;
    let wrong = [
        (json!({"mode": "batch"}), "spec.mode"),
        (json!({"createdBy": {"email": "a@b"}}), "spec.createdBy.sub"),
        (json!({"templateRef": {"kind": "SandboxTemplate"}}), "spec.templateRef.name"),
        (json!({"storage": {"size": "plenty"}}), "spec.storage.size"),
        (json!({"sharing": {"users": [{"identity": "a", "level": "owner"}]}}), "spec.sharing.users[0].level"),
        (json!({"image": {"repository": "r", "pullPolicy": "Sometimes"}}), "spec.image.pullPolicy"),
    ];
    for (spec, field) in wrong {
        let mut sent = DynamicObject::new("wrong", &sandboxes()).within(&place.namespace);
        sent.data = json!({"spec": spec});
        let refusal =
            place.user.sandboxes().create(&PostParams::default(), &sent).await.unwrap_err().to_string();
        assert!(refusal.contains(field), "{field}: {refusal}");
    }
}

#[tokio::test]
async fn templates_keep_every_field_too() {
    let place = Place::shared("template-round-trip").await;
    for (index, kind) in [(1, double::templates()), (2, double::cluster_templates())] {
        let mut sent = DynamicObject::new("full-template", &kind);
        sent.data = json!({"spec": sample(&schema(index).properties.unwrap()["spec"])});
        let api: kube::Api<DynamicObject> = if index == 1 {
            kube::Api::namespaced_with(place.client.clone(), &place.namespace, &kind)
        } else {
            kube::Api::all_with(place.client.clone(), &kind)
        };
        let kept = api.create(&PostParams::default(), &sent).await.unwrap();
        assert_eq!(kept.data["spec"], sent.data["spec"], "{}", kind.kind);
    }
}
