//! The CSI driver whose volumes are directories, and the faults it can be told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Serialize, Serializer};

use crate::cluster::Cluster;

/// The driver's name in CSIDriver, StorageClass and VolumeSnapshotClass.
pub const DRIVER: &str = "dir.csi.testbed";

/// The name of its process.
pub(crate) const PROCESS: &str = "dircsi";

/// The driver of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Driver<'a> {
    cluster: &'a Cluster,
}

/// Something that goes wrong, or slowly, in calls of one method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Tells faults apart: a new one counts its `times` anew.
    pub id: String,
    /// The CSI method, such as `CreateSnapshot`.
    pub method: String,
    /// Only calls whose name, volume or snapshot contains this; empty: all.
    #[serde(rename = "match")]
    pub matching: String,
    /// Answers so much later.
    #[serde(rename = "delayMs", serialize_with = "milliseconds")]
    pub delay: Duration,
    /// Fails with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The message of the failure.
    pub message: String,
    /// A new snapshot is not ready to use for so long after it was cut.
    #[serde(rename = "notReadyMs", serialize_with = "milliseconds")]
    pub not_ready: Duration,
    /// How many calls are hit; 0: all.
    pub times: u32,
    /// Does the work and then fails, as when an answer is lost.
    pub after: bool,
}

/// The gRPC codes that CSI gives a meaning; the sidecars treat some as final
/// and retry after others (CSI specification, "Error Scheme").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// Another call on the same volume is under way.
    Aborted,
    /// The same name exists with other properties.
    AlreadyExists,
    /// It took too long; the outcome is open.
    DeadlineExceeded,
    /// The state does not allow it, such as a volume in use.
    FailedPrecondition,
    /// Something broke.
    Internal,
    /// The request is wrong.
    InvalidArgument,
    /// The volume or snapshot does not exist.
    NotFound,
    /// No room, or too many snapshots.
    ResourceExhausted,
    /// The driver has no such call.
    Unimplemented,
    /// The storage cannot be reached; the outcome is open.
    Unavailable,
}

impl Fault {
    fn of(method: &str) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            method: method.to_owned(),
            matching: String::new(),
            delay: Duration::ZERO,
            code: None,
            message: String::new(),
            not_ready: Duration::ZERO,
            times: 0,
            after: false,
        }
    }

    /// Every call of the method fails.
    #[must_use]
    pub fn fail(method: &str, code: Code, message: &str) -> Self {
        Self { code: Some(code), message: message.to_owned(), ..Self::of(method) }
    }

    /// Every call of the method takes so much longer.
    #[must_use]
    pub fn slow(method: &str, delay: Duration) -> Self {
        Self { delay, ..Self::of(method) }
    }

    /// New snapshots are not ready to use for so long after they were cut.
    #[must_use]
    pub fn not_ready(time: Duration) -> Self {
        Self { not_ready: time, ..Self::of("CreateSnapshot") }
    }

    /// Hits only calls whose name, volume or snapshot contains `text`.
    #[must_use]
    pub fn matching(mut self, text: &str) -> Self {
        text.clone_into(&mut self.matching);
        self
    }

    /// Hits so many calls, then no more.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Self {
        self.times = calls;
        self
    }

    /// Does the work before it fails, as when an answer is lost.
    #[must_use]
    pub fn after_the_work(mut self) -> Self {
        self.after = true;
        self
    }
}

impl Driver<'_> {
    /// From now on exactly these faults; the driver looks at each call.
    ///
    /// # Errors
    /// When they cannot be written, or the cluster was joined.
    pub fn faults(&self, faults: &[Fault]) -> Result<()> {
        ensure!(
            !self.cluster.is_joined(),
            "the driver of a cluster that was joined takes no faults from here"
        );
        let file = self.cluster.faults_file();
        let written = file.with_extension("new");
        std::fs::write(&written, serde_json::to_vec_pretty(faults)?)?;
        // By a rename, so that the driver never reads half of them.
        std::fs::rename(written, file).context("tell the CSI driver its faults")
    }
}

impl Cluster {
    /// The CSI driver.
    #[must_use]
    pub fn driver(&self) -> Driver<'_> {
        Driver { cluster: self }
    }

    /// Short: the path of a Unix socket is limited to about 100 bytes.
    pub(crate) fn driver_socket(&self) -> PathBuf {
        self.dir().join("csi.sock")
    }

    pub(crate) fn faults_file(&self) -> PathBuf {
        self.dir().join("faults.json")
    }
}

fn milliseconds<S: Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
