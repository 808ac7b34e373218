//! What is said in words: of protection, fates and verdicts that could not be made.

use agenttier_backup_plan::{
    ActionKind, Fate, Foreign, Governance, Keep, Keeper, Protection, Reason, Spent, Verdict, Volume,
};

use crate::world::{NOW, policy, sandbox, volume};

#[test]
fn of_protection() {
    let reason = Reason::WaitingForTurn;
    let newest = Some(NOW);
    for (protection, told, at) in [
        (Protection::Protected { newest: NOW }, "Protected", newest),
        (Protection::Awaited { by: NOW, reason }, "Awaited: WaitingForTurn", None),
        (Protection::Overdue { newest, reason }, "Overdue: WaitingForTurn", newest),
        (Protection::Unprotected { reason: Reason::NoPolicy }, "Unprotected: NoPolicy", None),
        (Protection::Retired { newest, reason: Reason::ClaimGone }, "Retired: ClaimGone", newest),
        (Protection::Unknown { newest, reason: Reason::PolicyUnknown }, "Unknown: PolicyUnknown", newest),
    ] {
        assert_eq!((protection.to_string().as_str(), protection.newest()), (told, at));
    }
}

#[test]
fn of_every_fate() {
    let until = NOW;
    let kept = [
        (Keep::Newest, "newest ready"),
        (Keep::KeepLast, "keepLast"),
        (Keep::Young { until }, "younger than maxAge"),
        (Keep::Thinned { until }, "newest of its day, week or month"),
        (Keep::RetentionShortened { until: None }, "retention was shortened less than 24 h ago"),
        (Keep::SandboxGone { until }, "its sandbox is gone; until 2023-11-14T22:13:20Z"),
        (Keep::Frozen, "its sandbox was switched to another volume"),
        (Keep::ClassRetains, "its class has deletionPolicy Retain"),
        (Keep::Pinned, "pinned"),
        (Keep::ReadBy { readers: ["a".to_owned(), "b".to_owned()].into() }, "read by a, b"),
        (Keep::NotReady, "not ready"),
        (Keep::OtherVolume, "of an earlier volume"),
        (Keep::AgentTiers, "made by AgentTier"),
        (Keep::Foreign { mark: Foreign::Clone }, "not ours (Clone)"),
        (Keep::Leaving, "being deleted"),
        (Keep::PruningHeld, "pruning held"),
        (Keep::VolumeGone, "its volume is gone"),
        (Keep::VolumeAbandoned, "its volume is no workspace any more"),
    ];
    for (keep, told) in kept {
        assert_eq!(Fate::Keep(keep).to_string(), format!("keep: {told}"));
    }
    let keeper = Some(Keeper { name: "k".into(), uid: "u".into() });
    for (reason, told) in [
        (Spent::PastRetention, "past retention"),
        (Spent::OverCount, "over maxCount"),
        (Spent::ThinnedOut, "thinned out"),
        (Spent::Failed, "failed"),
        (Spent::Adopted, "AgentTier's, past retention"),
        (Spent::SandboxGone, "its sandbox is gone"),
    ] {
        let fate = Fate::Prune { reason, keeper: keeper.clone() };
        assert_eq!(fate.to_string(), format!("prune: {told}; k is newer"));
    }
    assert_eq!(Fate::Unknown.to_string(), "unknown");
}

/// A fault of this program must not be taken for a volume that is well, or for one that may be pruned.
#[test]
fn of_a_volume_that_could_not_be_judged() {
    let volume = Volume { sandbox: Some(sandbox("s1", "Running")), ..volume("v1") };
    let verdict = Verdict::unjudged(&Governance::By(policy()), &volume);
    assert_eq!(verdict.protection, Protection::Unprotected { reason: Reason::JudgementFailed });
    assert_eq!((verdict.sandbox.as_deref(), verdict.policy.as_deref()), (Some("s1"), Some("default")));
    assert_eq!((verdict.volume.claim.as_str(), verdict.driver.as_deref()), ("v1-workspace", Some("dir.csi")));
    assert!(verdict.wants.is_empty() && verdict.points.is_empty() && verdict.interval.is_none());
}

#[test]
fn of_what_was_tried() {
    assert_eq!(ActionKind::ALL.map(|kind| kind.to_string()), ["Prune", "TakeSnapshot", "Mark", "Record"]);
}
