//! What a server writes of a backup's or a restore's errors and warnings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The file [`BackupResults`](crate::DownloadTargetKind::BackupResults) of a backup, unpacked; a restore's has the same shape.
///
/// What a backup's asynchronous operations fail with is not in it: Velero adds that to the number of errors alone
/// (Velero 1.18, backup-operations controller). It is in its [`ItemOperation`](crate::ItemOperation)s.
///
/// ```
/// let file = r#"{ "errors": { "namespaces": { "team-a": ["a hook failed"] } }, "warnings": {} }"#;
/// let results: velero::BackupResults = serde_json::from_str(file)?;
/// assert_eq!(results.errors.first(), Some("a hook failed"));
/// assert_eq!(results.warnings.first(), None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupResults {
    /// Its errors.
    #[serde(default)]
    pub errors: Messages,
    /// Its warnings.
    #[serde(default)]
    pub warnings: Messages,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Messages, by what they are about. Within each they are in the order of their time.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    /// About Velero's own work, such as a store that cannot be reached; of a backup nearly all are here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub velero: Vec<String>,
    /// About objects that are in no namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster: Vec<String>,
    /// About objects in namespaces, by namespace.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Messages {
    /// The first one; of those about several things, in the order of the fields.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        let all = [&self.velero, &self.cluster].into_iter().chain(self.namespaces.values());
        all.flatten().map(String::as_str).next()
    }
}
