//! What gives up AgentTier's label while AgentTier's sweep runs.

use std::collections::BTreeSet;

use agenttier_backup_plan::{Action, AgentTierLoop, Note, RecoveryPoint, Volume};

use crate::world::*;

/// The sweep goes by age alone, and its age may be less than what was promised here.
#[test]
fn whatever_is_kept_however_young() {
    for (agenttier_loop, hidden) in [
        (AgentTierLoop::Off, &[][..]),
        (AgentTierLoop::Sweeps, &["newest", "young", "pinned", "read"]),
        (AgentTierLoop::Covers, &["newest", "young", "pinned", "read"]),
    ] {
        let empty = Volume { agenttier_loop, ..volume("v") };
        let point = |name: &str, age| ready(&empty, name, NOW - hours(age));
        let points = [
            point("newest", 1),
            point("young", 7),
            RecoveryPoint { pinned: true, ..point("pinned", 13) },
            RecoveryPoint { readers: ["a-claim".to_owned()].into(), ..point("read", 19) },
            RecoveryPoint { pinned: true, looks_like_agenttiers: false, ..point("hidden already", 25) },
        ];
        let verdict = judge(NOW, &policy(), &with(empty.clone(), points));
        let marked: BTreeSet<&str> = verdict.wants.iter().filter_map(marked).collect();
        assert_eq!(marked, hidden.iter().copied().collect(), "{agenttier_loop:?}");
    }
}

fn marked(action: &Action) -> Option<&str> {
    match action {
        Action::Mark(mark) if mark.note == Note::HideFromAgentTier => Some(&mark.name),
        _ => None,
    }
}
