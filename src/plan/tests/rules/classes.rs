//! Which VolumeSnapshotClass a snapshot names, and what is said where there is none to name.

use std::collections::BTreeMap;

use agenttier_backup_plan::{
    Fate, Governance, HeldBack, Keep, Policy, Pressure, Protection, Reason, SnapshotClass, Surroundings,
    Verdict, Volume,
};

use crate::world::{NOW, fate, hours, policy, ready, volume, wanted_prunes, wanted_snapshot, with};

/// A class of the driver of the test's volumes.
fn class(name: &str) -> SnapshotClass {
    SnapshotClass { name: name.into(), driver: "dir.csi".into(), is_default: false, retains: false }
}

fn default_class(name: &str) -> SnapshotClass {
    SnapshotClass { is_default: true, ..class(name) }
}

fn of_driver(driver: &str, class: SnapshotClass) -> SnapshotClass {
    SnapshotClass { driver: driver.into(), ..class }
}

/// One point that may go, and a snapshot due.
fn aged() -> Volume {
    let volume = volume("s1");
    let points = [("new", 20), ("old", 400)].map(|(name, age)| ready(&volume, name, NOW - hours(age)));
    with(volume, points)
}

fn judged(policy: &Policy, classes: Option<&[SnapshotClass]>) -> Verdict {
    let held = HeldBack::new();
    let around = Surroundings { held: &held, classes, pressure: Pressure::None, rest_in_doubt: false };
    agenttier_backup_plan::decide(NOW, &Governance::By(policy.clone()), &aged(), &around)
}

/// The class that is named; the outer `None`: no snapshot is taken.
#[expect(clippy::option_option, reason = "none is taken, and one without a class")]
fn named(policy: &Policy, classes: Option<&[SnapshotClass]>) -> Option<Option<String>> {
    wanted_snapshot(&judged(policy, classes)).map(|take| take.class.clone())
}

fn asking(class: Option<&str>, by_driver: &[(&str, &str)]) -> Policy {
    let classes: BTreeMap<String, String> =
        by_driver.iter().map(|(driver, class)| ((*driver).into(), (*class).into())).collect();
    Policy { class: class.map(Into::into), classes, ..policy() }
}

#[test]
fn the_drivers_own_comes_before_the_one_for_all_and_that_before_the_default() {
    let classes = [
        class("fast"),
        class("slow"),
        default_class("usual"),
        of_driver("other.csi", default_class("other")),
    ];
    let classes = Some(&classes[..]);
    let some = |name: &str| Some(Some(name.to_owned()));
    assert_eq!(named(&asking(Some("slow"), &[("dir.csi", "fast")]), classes), some("fast"));
    assert_eq!(named(&asking(Some("slow"), &[("other.csi", "other")]), classes), some("slow"));
    assert_eq!(named(&asking(None, &[("other.csi", "other")]), classes), some("usual"));
    assert_eq!(named(&asking(None, &[]), classes), some("usual"), "the default is named outright");
}

#[test]
fn without_a_sight_of_classes_the_policys_word_is_taken() {
    assert_eq!(named(&asking(Some("slow"), &[("dir.csi", "fast")]), None), Some(Some("fast".into())));
    assert_eq!(named(&asking(Some("slow"), &[]), None), Some(Some("slow".into())));
    assert_eq!(named(&asking(None, &[]), None), Some(None), "and the choice left to the snapshot controller");
    assert_eq!(judged(&asking(None, &[]), None).notices, []);
}

/// A class that is wrong keeps snapshots from being taken, not what is past its age from going.
#[test]
fn every_wrong_class_has_its_name_and_its_way_out() {
    let usual = default_class("usual");
    for (policy, classes, reason, told) in [
        (
            asking(Some("fast"), &[]),
            vec![usual.clone()],
            Reason::UnknownClass,
            "there is no VolumeSnapshotClass fast",
        ),
        (
            asking(Some("usual"), &[("dir.csi", "gone")]),
            vec![usual.clone()],
            Reason::UnknownClass,
            "there is no VolumeSnapshotClass gone",
        ),
        (
            asking(Some("other"), &[]),
            vec![usual.clone(), of_driver("other.csi", class("other"))],
            Reason::ClassOfOtherDriver,
            "VolumeSnapshotClass other is not of driver dir.csi",
        ),
        (
            asking(None, &[]),
            vec![],
            Reason::NoDefaultClass,
            "driver dir.csi has no default VolumeSnapshotClass",
        ),
        (
            asking(None, &[]),
            vec![class("fast"), of_driver("other.csi", default_class("other"))],
            Reason::NoDefaultClass,
            "driver dir.csi has no default",
        ),
        (
            asking(None, &[]),
            vec![usual.clone(), default_class("as usual")],
            Reason::TwoDefaultClasses,
            "driver dir.csi has more than one default",
        ),
    ] {
        let verdict = judged(&policy, Some(&classes));
        let [notice] = &verdict.notices[..] else { panic!("{verdict:?}") };
        assert_eq!(notice.reason, reason);
        assert!(notice.message.starts_with(told), "{}", notice.message);
        assert_eq!(wanted_snapshot(&verdict), None, "{reason}");
        assert_eq!(wanted_prunes(&verdict).len(), 1, "{reason}");
        let newest = Some(NOW - hours(20));
        assert_eq!(verdict.protection, Protection::Overdue { newest, reason }, "the reason is named");
        assert!(verdict.interval.is_some(), "{reason}: it takes part");
    }
}

/// Snapshots go on: the notice says what they cost.
#[test]
fn a_class_that_retains_is_told_of_and_used() {
    let retaining = SnapshotClass { retains: true, ..default_class("usual") };
    let verdict = judged(&policy(), Some(&[retaining]));
    assert_eq!(wanted_snapshot(&verdict).unwrap().class.as_deref(), Some("usual"));
    let [notice] = &verdict.notices[..] else { panic!("{verdict:?}") };
    assert_eq!(notice.reason, Reason::ClassRetains);
    assert!(notice.message.starts_with("VolumeSnapshotClass usual has deletionPolicy Retain"), "{notice:?}");
}

/// Whatever class the policy names by now: deleting it would orphan the storage's snapshot.
#[test]
fn what_was_taken_with_a_class_that_retains_stays() {
    let mut volume = aged();
    volume.points[1].class_retains = true;
    let held = HeldBack::new();
    let around = Surroundings::of(&held);
    let verdict = agenttier_backup_plan::decide(NOW, &Governance::By(policy()), &volume, &around);
    assert_eq!(*fate(&verdict, "old"), Fate::Keep(Keep::ClassRetains));
    assert_eq!(wanted_prunes(&verdict).len(), 0);
}
