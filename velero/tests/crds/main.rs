//! Velero's own CRDs, property by property: each has its field here.

#![allow(clippy::unwrap_used)]

mod published;
mod walk;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use velero::{
    Backup, BackupStorageLocation, DataDownload, DataUpload, DeleteBackupRequest, DownloadRequest, Restore,
    Schedule, ServerStatusRequest, VolumeSnapshotLocation,
};

use crate::published::velero_module;
use crate::walk::{Crd, Problems, check};

/// What belongs to the way that node-agents work, and is not read here.
const NOT_TYPED: [&str; 3] = ["BackupRepository", "PodVolumeBackup", "PodVolumeRestore"];

/// Holds the type of a kind against its CRD.
type Check = fn(&Crd) -> Problems;

const TYPED: [(&str, Check); 10] = [
    ("Backup", check::<Backup>),
    ("BackupStorageLocation", check::<BackupStorageLocation>),
    ("DataDownload", check::<DataDownload>),
    ("DataUpload", check::<DataUpload>),
    ("DeleteBackupRequest", check::<DeleteBackupRequest>),
    ("DownloadRequest", check::<DownloadRequest>),
    ("Restore", check::<Restore>),
    ("Schedule", check::<Schedule>),
    ("ServerStatusRequest", check::<ServerStatusRequest>),
    ("VolumeSnapshotLocation", check::<VolumeSnapshotLocation>),
];

/// The CRDs of a folder, by kind.
fn crds(folder: &Path) -> BTreeMap<String, Crd> {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let read = |text: String| Crd::new(serde_saphyr::from_str::<Value>(&text).unwrap());
    texts.map(read).map(|crd| (crd.kind().to_owned(), crd)).collect()
}

#[test]
fn every_property_is_a_field() {
    let module = velero_module();
    let mut crds = crds(&module.join("config/crd/v1/bases"));
    crds.extend(self::crds(&module.join("config/crd/v2alpha1/bases")));
    for kind in NOT_TYPED {
        assert!(crds.remove(kind).is_some(), "Velero has no {kind} any more");
    }
    let mut problems = Problems::new();
    for (kind, check) in TYPED {
        let crd = crds.remove(kind).unwrap_or_else(|| panic!("Velero has no {kind} any more"));
        problems.extend(check(&crd));
    }
    assert_eq!(crds.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "Velero has more kinds");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
