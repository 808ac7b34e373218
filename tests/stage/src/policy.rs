//! Policies with short intervals.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, FIELD_MANAGER, RetentionSpec, SnapshotSpec};
use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};

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

impl Rhythm {
    /// The part of a policy that it is.
    #[must_use]
    pub fn snapshots(self) -> SnapshotSpec {
        SnapshotSpec {
            interval: self.interval.into(),
            retention: RetentionSpec {
                max_age: self.max_age.into(),
                keep_last: self.keep_last,
                ..RetentionSpec::default()
            },
            ..SnapshotSpec::default()
        }
    }
}

impl Stage {
    /// Writes a policy for all namespaces that outranks the chart's own.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn policy(&self, rhythm: Rhythm) -> Result<()> {
        let spec =
            BackupPolicySpec { priority: 10, snapshots: rhythm.snapshots(), ..BackupPolicySpec::default() };
        self.write_policy(&BackupPolicy::new("stage", spec)).await
    }

    /// Writes a policy, whatever stood there before.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn write_policy(&self, policy: &BackupPolicy) -> Result<()> {
        let name = policy.name_any();
        let api: Api<BackupPolicy> = Api::all(self.client.clone());
        let params = PatchParams::apply(&format!("{FIELD_MANAGER}-stage")).force();
        api.patch(&name, &params, &Patch::Apply(policy)).await.context("write the policy")?;
        Ok(())
    }
}
