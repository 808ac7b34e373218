//! The schema of a selector of namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Kubernetes' own schema of a label selector lets every operator through; one that nobody can read would
/// select nothing, in silence.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = LabelSelector::json_schema(generator);
    let mut set = |path: &str, keyword: &str, value: Value| {
        let at = schema.pointer_mut(path).and_then(Value::as_object_mut);
        at.expect("a label selector has these fields").insert(keyword.to_owned(), value);
    };
    let expressions = "/properties/matchExpressions";
    set(expressions, "maxItems", json!(64));
    let requirement = format!("{expressions}/items");
    set(
        &requirement,
        "x-kubernetes-validations",
        json!([{
            "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "message": "In and NotIn need values; Exists and DoesNotExist take none",
        }]),
    );
    set(&format!("{requirement}/properties/key"), "minLength", json!(1));
    set(
        &format!("{requirement}/properties/operator"),
        "enum",
        json!(["In", "NotIn", "Exists", "DoesNotExist"]),
    );
    set(&format!("{requirement}/properties/values"), "maxItems", json!(256));
    schema
}
