//! What the controller reports of its failures, read back by the commands.

use agenttier_backup_plan::{ActionKind, HeldBack, Reason, Setback, VolumeUid};

use crate::api::BackupPolicy;

/// The setbacks that policies report in their status.
///
/// How long the controller leaves each alone is not reported: all of them count as due to be tried again.
#[must_use]
pub(super) fn reported_setbacks<'a>(policies: impl IntoIterator<Item = &'a BackupPolicy>) -> HeldBack {
    let statuses = policies.into_iter().filter_map(|policy| policy.status.as_ref());
    let reported = statuses.flat_map(|status| &status.failing).filter_map(|failing| {
        let kind = ActionKind::ALL.into_iter().find(|kind| kind.to_string() == failing.action)?;
        let (reason, since) = (Reason::named(&failing.reason), failing.since.0);
        let setback = Setback::new(reason, failing.message.clone(), since, since);
        Some(((VolumeUid::new(&failing.volume_uid), kind), setback))
    });
    reported.collect()
}
