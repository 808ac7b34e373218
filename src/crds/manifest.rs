//! A definition as it is written into a file.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Number, Value};

/// A definition as a manifest: what `chart/crds` holds, and what `crds` prints.
#[must_use]
pub fn manifest(crd: &CustomResourceDefinition) -> Value {
    let mut manifest = serde_json::to_value(crd).unwrap_or_default();
    whole_numbers(&mut manifest);
    manifest
}

/// Bounds are floating-point numbers to the types; `1` reads better than `1.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            if let Some(whole) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *number = Number::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}
