//! What a Sandbox left behind when it was switched to another volume: saved once more, and kept.

use agenttier_backup_plan::{
    AgentTierLoop, ClaimPhase, FAILED_AFTER, Fate, Governance, HeldBack, Keep, Protection, Reason,
    RecoveryPoint, Volume,
};

use crate::world::{
    NOW, decide, every, fate, hours, judge, policy, ready, sandbox, slot_start, unready, volume,
    wanted_prunes, wanted_snapshot, with,
};

/// Left with points of which two are past every age, and one is of the current slot.
fn left_behind() -> Volume {
    let volume = Volume {
        sandbox: Some(sandbox("s1", "Stopped")),
        switched_to: Some("pool-7".into()),
        ..volume("s1")
    };
    let mut failed = unready(&volume, "failed", NOW - hours(80));
    failed.error = Some("no such class".into());
    let points = [
        ready(&volume, "current", slot_start(&policy(), &volume, NOW)),
        ready(&volume, "old", NOW - hours(900)),
        ready(&volume, "older", NOW - hours(1000)),
        failed,
    ];
    with(volume, points)
}

fn after_switch(point: RecoveryPoint) -> RecoveryPoint {
    RecoveryPoint { after_switch: true, ..point }
}

#[test]
fn nothing_of_it_is_pruned_and_it_is_said_where_the_work_is() {
    let verdict = judge(NOW, &policy(), &left_behind());
    assert_eq!(wanted_prunes(&verdict).len(), 0);
    for name in ["current", "old", "older", "failed"] {
        assert_eq!(*fate(&verdict, name), Fate::Keep(Keep::Frozen));
    }
    let newest = Some(slot_start(&policy(), &left_behind(), NOW));
    assert_eq!(verdict.protection, Protection::Retired { newest, reason: Reason::WorkspaceSwitched });
    let [notice] = &verdict.notices[..] else { panic!("{verdict:?}") };
    assert_eq!(notice.reason, Reason::WorkspaceSwitched);
    assert!(notice.message.contains("pool-7 now"), "{notice:?}");
    assert!(notice.message.contains("its work is on s1-workspace"), "{notice:?}");
}

/// Although its slot was covered before: what was written between that and the switch is on no other volume.
#[test]
fn it_is_saved_once_after_the_switch_and_never_again() {
    let volume = left_behind();
    let verdict = judge(NOW, &policy(), &volume);
    let take = wanted_snapshot(&verdict).unwrap();
    assert!(take.after_switch && take.at_rest_since.is_none(), "{take:?}");
    assert_eq!(verdict.interval, Some(every(hours(6))), "it needs its share of the pace");

    let under_way = with(volume.clone(), [after_switch(unready(&volume, "saved", NOW))]);
    assert_eq!(wanted_snapshot(&judge(NOW, &policy(), &under_way)), None);
    let saved = with(volume.clone(), [after_switch(ready(&volume, "saved", NOW))]);
    for later in [0, 6, 60, 6000] {
        let verdict = judge(NOW + hours(later), &policy(), &saved);
        assert_eq!((verdict.wants.len(), verdict.interval), (0, None), "after {later} h");
    }
    let mut lost = after_switch(ready(&volume, "saved", NOW));
    lost.deleting_since = Some(NOW);
    assert!(
        wanted_snapshot(&judge(NOW, &policy(), &with(volume.clone(), [lost]))).is_some(),
        "it is leaving"
    );
}

#[test]
fn a_failure_to_save_it_is_tried_again() {
    let volume = left_behind();
    let mut failed = after_switch(unready(&volume, "saved", NOW));
    failed.error = Some("no such class".into());
    let volume = with(volume, [failed]);
    assert_eq!(wanted_snapshot(&judge(NOW, &policy(), &volume)), None, "it may get over it");
    let verdict = judge(NOW + FAILED_AFTER, &policy(), &volume);
    assert!(wanted_snapshot(&verdict).is_some_and(|take| take.after_switch), "{verdict:?}");
    assert_eq!(wanted_prunes(&verdict).len(), 0);
}

/// Its snapshots end by age, and no newer ones come.
#[test]
fn it_is_not_left_to_agenttiers_loop() {
    let volume = Volume { agenttier_loop: AgentTierLoop::Covers, ..left_behind() };
    let its = RecoveryPoint {
        ownership: agenttier_backup_plan::Ownership::AgentTier,
        ..ready(&volume, "its", NOW - hours(1))
    };
    let verdict = judge(NOW, &policy(), &with(volume, [its]));
    let take = wanted_snapshot(&verdict).unwrap();
    assert!(take.after_switch && take.hidden_from_agenttier, "{take:?}");
}

#[test]
fn a_wrong_class_is_told_of_here_too() {
    let held = HeldBack::new();
    let around = agenttier_backup_plan::Surroundings {
        held: &held,
        classes: Some(&[]),
        pressure: agenttier_backup_plan::Pressure::None,
        rest_in_doubt: false,
    };
    let verdict = agenttier_backup_plan::decide(NOW, &Governance::By(policy()), &left_behind(), &around);
    let reasons: Vec<_> = verdict.notices.iter().map(|notice| notice.reason).collect();
    assert_eq!(reasons, [Reason::NoDefaultClass, Reason::WorkspaceSwitched]);
    assert_eq!(wanted_snapshot(&verdict), None);
}

/// Also when its claim is gone or stands alone by then, and whatever becomes of the policy.
#[test]
fn it_stays_frozen_whatever_becomes_of_claim_and_policy() {
    let governances = [
        Governance::By(policy()),
        Governance::Nobody,
        Governance::Held { policy: "default".into(), reason: Reason::PolicySuspended },
    ];
    for governance in governances {
        for phase in [ClaimPhase::Gone, ClaimPhase::Abandoned] {
            for sandbox in [None, left_behind().sandbox] {
                let volume = Volume { phase, sandbox, ..left_behind() };
                let verdict = decide(NOW, &governance, &volume, &HeldBack::new());
                assert_eq!((verdict.wants.len(), fate(&verdict, "older")), (0, &Fate::Keep(Keep::Frozen)));
                assert_eq!(verdict.protection.reason(), Some(Reason::WorkspaceSwitched));
                assert_eq!(verdict.notices.len(), 1, "{verdict:?}");
            }
        }
    }
    let pending = Volume { phase: ClaimPhase::Lost, ..left_behind() };
    let verdict = judge(NOW, &policy(), &pending);
    assert_eq!((verdict.wants.len(), fate(&verdict, "older")), (0, &Fate::Keep(Keep::PruningHeld)));
    assert_eq!(verdict.notices[0].reason, Reason::WorkspaceSwitched);
}
