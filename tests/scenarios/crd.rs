//! The CRDs that the chart ships are the code's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use agenttier_backup::api::{RELEASE, crds};
use agenttier_backup::crds::manifest;
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
    format!("{HEADER}{}", serde_saphyr::to_string(&manifest(crd)).unwrap())
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

/// The definitions say the release; helm compares it with the chart's.
#[test]
fn the_chart_is_of_the_codes_release() {
    let chart = std::fs::read_to_string(folder().join("../Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    assert_eq!(chart["appVersion"], RELEASE);
}
