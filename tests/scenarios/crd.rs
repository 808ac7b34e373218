//! The CRDs that the chart ships are the code's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use agenttier_backup::api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

const HEADER: &str =
    "# Generated from src/api. After a change there: UPDATE=1 cargo test --test scenarios crd\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chart/crds")
}

/// `backuppolicies.backup.agenttier.io` → `backuppolicies.yaml`.
fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}.yaml", crd.spec.names.plural)
}

fn rendered(crd: &CustomResourceDefinition) -> String {
    let mut value = serde_json::to_value(crd).unwrap();
    whole_numbers(&mut value);
    format!("{HEADER}{}", serde_saphyr::to_string(&value).unwrap())
}

/// Bounds are floating-point numbers to the types; `1` reads better than `1.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|number| number.fract() == 0.0) {
                *value = serde_json::from_str(&format!("{whole:.0}")).unwrap();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[test]
fn the_chart_ships_the_codes_crds_and_no_others() {
    for crd in crds() {
        let file = folder().join(file_name(&crd));
        let wanted = rendered(&crd);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap();
        assert!(
            found == wanted,
            "{} is not what src/api says; write it anew with `UPDATE=1 cargo test --test scenarios crd`",
            file.display()
        );
        let read: CustomResourceDefinition = serde_saphyr::from_str(&found).unwrap();
        assert_eq!(read, crd, "the file reads back as the definition");
    }
    let files = std::fs::read_dir(folder()).unwrap();
    let found: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, crds().iter().map(file_name).collect());
}
