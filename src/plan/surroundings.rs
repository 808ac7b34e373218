//! What is the same for all volumes while they are judged.

use crate::{HeldBack, Pressure, SnapshotClass};

/// What is the same for all volumes while they are judged.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// What failed when it was last tried.
    pub held: &'a HeldBack,
    /// Every VolumeSnapshotClass; `None` where whoever asks may not read them.
    pub classes: Option<&'a [SnapshotClass]>,
    /// How near the cluster is to its limit of snapshots.
    pub pressure: Pressure,
    /// What is known of Sandboxes or attachments may be out of date: nothing is taken for unchanged.
    pub rest_in_doubt: bool,
}

impl<'a> Surroundings<'a> {
    /// Classes unread, far from any limit.
    #[must_use]
    pub fn of(held: &'a HeldBack) -> Self {
        Self { held, classes: None, pressure: Pressure::None, rest_in_doubt: false }
    }
}
