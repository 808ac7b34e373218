//! A verdict for tests of what is told of it.

use agenttier_backup_plan::{Protection, Verdict, VolumeId, VolumeUid};

/// That of a volume in namespace `n` whose claim and UID have the same name, with nothing else to say.
pub(super) fn verdict(claim: &str, policy: Option<&str>, protection: Protection) -> Verdict {
    let volume = VolumeId { namespace: "n".into(), claim: claim.into(), uid: VolumeUid::new(claim) };
    Verdict { policy: policy.map(str::to_owned), ..Verdict::of(volume, protection) }
}
