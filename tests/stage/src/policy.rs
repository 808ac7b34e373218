//! Policies with short intervals.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, FIELD_MANAGER, RetentionSpec, SnapshotSpec};
use anyhow::{Context as _, Result};
use kube::Api;
use kube::api::{Patch, PatchParams};

use crate::Stage;

/// How often, and how long kept, in the words of a policy: `10s`, `6h`, `14d`.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Time between two snapshots.
    pub interval: &'static str,
    /// Age at which one may go.
    pub max_age: &'static str,
    /// How many of the newest stay in any case.
    pub keep_last: u32,
}

impl Stage {
    /// Writes a policy for all namespaces that outranks the chart's own.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn policy(&self, rhythm: Rhythm) -> Result<()> {
        let spec = BackupPolicySpec {
            priority: 10,
            snapshots: SnapshotSpec {
                interval: rhythm.interval.into(),
                retention: RetentionSpec { max_age: rhythm.max_age.into(), keep_last: rhythm.keep_last },
                ..SnapshotSpec::default()
            },
            ..BackupPolicySpec::default()
        };
        let policy = BackupPolicy::new("stage", spec);
        let api: Api<BackupPolicy> = Api::all(self.client.clone());
        let params = PatchParams::apply(&format!("{FIELD_MANAGER}-stage")).force();
        api.patch("stage", &params, &Patch::Apply(&policy)).await.context("write the policy")?;
        Ok(())
    }
}
