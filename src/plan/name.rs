//! Names of recovery points.
//!
//! They are deterministic: a controller that crashed after the API server accepted a create will ask for
//! the same name again and be told that it exists.

use crate::Slot;
use crate::hash::short_hash;

/// The longest name that we give: AgentTier puts snapshot and claim names into label values, which hold 63
/// characters.
pub const LONGEST_NAME: usize = 63;

/// `<claim>-backup-<slot start, unix seconds>`, and `…-r<n>` for the n-th further attempt in that slot.
///
/// A claim's name that does not fit is cut and given eight hex digits of its hash.
#[must_use]
pub fn snapshot_name(claim: &str, slot: Slot, attempt: u32) -> String {
    let retry = if attempt > 0 { format!("-r{attempt}") } else { String::new() };
    let tail = format!("-backup-{}{retry}", slot.start().as_second());
    format!("{}{tail}", shortened(claim, LONGEST_NAME - tail.len()))
}

/// The value of the label `agenttier.io/source-pvc` for a claim.
#[must_use]
pub fn claim_label(claim: &str) -> String {
    shortened(claim, LONGEST_NAME)
}

pub(crate) fn shortened(name: &str, room: usize) -> String {
    if name.len() <= room {
        return name.to_owned();
    }
    let hash = short_hash(name);
    let mut head: String = name.chars().take(room - hash.len() - 1).collect();
    // A dot or dash before the hash's dash would make an invalid name.
    while head.ends_with(['-', '.']) {
        head.pop();
    }
    format!("{head}-{hash}")
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::{Interval, Slots, VolumeUid};

    fn slot(at: i64) -> Slot {
        let interval = Interval::new(SignedDuration::from_secs(900)).expect("a fair interval");
        Slots::of(&VolumeUid::new("u"), interval).at(Timestamp::from_second(at).expect("a time"))
    }

    #[test]
    fn a_label_is_the_claims_name_where_that_fits() {
        assert_eq!(claim_label("s1-workspace"), "s1-workspace");
        let long = "w".repeat(64);
        let label = claim_label(&long);
        assert!(
            label.len() <= LONGEST_NAME && label.starts_with(&long[..54]) && label != long[..63],
            "{label}"
        );
    }

    #[test]
    fn keeps_agenttiers_form() {
        let slot = slot(1_700_000_000);
        let seconds = slot.start().as_second();
        assert_eq!(snapshot_name("s1-workspace", slot, 0), format!("s1-workspace-backup-{seconds}"));
        assert_eq!(snapshot_name("s1-workspace", slot, 2), format!("s1-workspace-backup-{seconds}-r2"));
    }

    #[test]
    fn a_cut_never_ends_in_a_dot_or_dash() {
        let claim = format!("{}.-.-.-.-.-.-.-{}", "a".repeat(30), "b".repeat(40));
        let name = snapshot_name(&claim, slot(1_700_000_000), 0);
        assert!(name.starts_with(&format!("{}-", "a".repeat(30))) && !name.contains(".-"), "{name}");
    }

    proptest! {
        #[test]
        fn fit_and_differ(
            claim in "[a-z]([a-z0-9.-]{0,250}[a-z0-9])?",
            other in "[a-z]([a-z0-9.-]{0,250}[a-z0-9])?",
            at in 0_i64..10_000_000_000,
            attempt in 0_u32..1000,
        ) {
            let name = snapshot_name(&claim, slot(at), attempt);
            prop_assert!(name.len() <= LONGEST_NAME, "{}", name);
            prop_assert!(claim_label(&claim).len() <= LONGEST_NAME);
            prop_assert_ne!(&name, &snapshot_name(&claim, slot(at + 900), attempt));
            prop_assert_ne!(&name, &snapshot_name(&claim, slot(at), attempt + 1));
            if claim != other {
                prop_assert_ne!(name, snapshot_name(&other, slot(at), attempt));
            }
        }
    }
}
