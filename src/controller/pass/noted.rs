//! What one pass leaves for the next.

use std::time::Instant;

use agenttier_backup_plan::Pacer;
use jiff::Timestamp;

use super::super::backoff::Backoff;
use super::super::records::Records;
use super::super::unproved::Unproved;
use crate::observe::Unconfirmed;
use crate::publish::Repetition;

/// What passes have noted, by the time that it was.
pub(super) struct Noted {
    pub(super) last: Option<(Instant, Timestamp)>,
    pub(super) pacer: Pacer,
    pub(super) unconfirmed: Unconfirmed,
    pub(super) backoff: Backoff,
    pub(super) announced: Repetition,
    pub(super) unproved: Unproved,
    pub(super) records: Records,
}

impl Noted {
    pub(super) fn nothing(floor_per_minute: u16) -> Self {
        Self {
            last: None,
            pacer: Pacer::with_floor(floor_per_minute),
            unconfirmed: Unconfirmed::default(),
            backoff: Backoff::default(),
            announced: Repetition::default(),
            unproved: Unproved::default(),
            records: Records::default(),
        }
    }
}
