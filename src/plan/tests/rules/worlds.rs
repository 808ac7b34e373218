//! Random worlds: a volume at any point of its life, a policy with everything in it, and what is around them.

use std::collections::BTreeMap;

use agenttier_backup_plan::{
    AgentTierLoop, Amendment, Amendments, Bounds, ClaimPhase, Foreign, Governance, HeldBack, Overrides,
    Ownership, Policy, Pressure, Reason, RecoveryPoint, Retention, SandboxRef, SnapshotClass, Surroundings,
    Thinning, Verdict, Volume, VolumeUid,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::world::{NOW, every, hours, minutes, policy, sandbox, seconds, unready, volume, with};

/// All that a verdict hangs on, but for the time.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) governance: Governance,
    pub(crate) volume: Volume,
    pub(crate) classes: Option<Vec<SnapshotClass>>,
    pub(crate) pressure: Pressure,
}

impl World {
    pub(crate) fn judge(&self, now: Timestamp) -> Verdict {
        let held = HeldBack::new();
        let around = Surroundings {
            held: &held,
            classes: self.classes.as_deref(),
            pressure: self.pressure,
            rest_in_doubt: false,
        };
        agenttier_backup_plan::decide(now, &self.governance, &self.volume, &around)
    }
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.07)
}

/// Ages that meet: those of points, and those at which rules begin.
fn ages() -> impl Strategy<Value = SignedDuration> {
    prop_oneof![
        3 => (0_i64..40).prop_map(|n| hours(12 * n)),
        2 => (0_i64..3_000_000).prop_map(seconds),
        2 => (0_i64..60).prop_map(|n| minutes(30 * n)),
    ]
}

pub(crate) fn retentions() -> impl Strategy<Value = Retention> {
    let thin = || prop::option::weighted(0.5, ages());
    let count = prop::option::weighted(0.2, 1_u32..9);
    (ages(), 0_u32..4, count, thin(), thin(), thin()).prop_map(
        |(max_age, keep_last, max_count, daily, weekly, monthly)| Retention {
            max_age,
            keep_last,
            max_count,
            thin: Thinning { daily, weekly, monthly },
        },
    )
}

/// A few that recur, so that a point may carry the very one that is in force.
fn carried() -> impl Strategy<Value = Option<Retention>> {
    let few = (1_i64..4).prop_map(|n| Retention::for_at_least(hours(24 * 5 * n)));
    prop_oneof![2 => Just(None), 4 => few.prop_map(Some), 2 => retentions().prop_map(Some)]
}

/// Of the same few.
fn amendments() -> impl Strategy<Value = Amendments> {
    let one = (0_i64..400, 1_i64..4)
        .prop_map(|(hours_ago, n)| (NOW - hours(hours_ago), Retention::for_at_least(hours(24 * 5 * n))));
    let some = prop::collection::vec(one, 0..3).prop_map(|mut some| {
        some.sort();
        some.into_iter().map(|(since, retention)| Amendment { since, retention }).collect()
    });
    prop_oneof![6 => Just(Amendments::default()), 1 => some]
}

fn policies() -> impl Strategy<Value = Policy> {
    let intervals = prop_oneof![10_i64..600, 900_i64..100_000, 80_000_i64..3_000_000];
    let few = (1_i64..4).prop_map(|n| Retention::for_at_least(hours(24 * 5 * n)));
    let retention = prop_oneof![1 => few, 2 => retentions()];
    let classes = prop_oneof![
        4 => Just(None), 1 => Just(Some("usual")), 1 => Just(Some("others")), 1 => Just(Some("unknown")),
    ];
    (intervals, 0_i64..100_000, retention, any::<bool>(), rarely(), classes).prop_map(
        |(interval, ready_timeout, retention, skip_unchanged, adopt_agenttier, class)| Policy {
            interval: every(seconds(interval)),
            ready_timeout: seconds(ready_timeout),
            // One whose points are past their age before the next one comes is refused.
            retention: Retention { max_age: retention.max_age.max(seconds(interval)), ..retention },
            skip_unchanged,
            adopt_agenttier,
            class: class.map(Into::into),
            classes: BTreeMap::new(),
            bounds: Bounds { min_interval: minutes(1), max_retention: hours(24 * 40), max_points: u32::MAX },
            ..policy()
        },
    )
}

fn governances() -> impl Strategy<Value = Governance> {
    prop_oneof![
        1 => Just(Governance::Nobody),
        1 => Just(Governance::Unknown),
        1 => Just(Governance::Held { policy: "p".into(), reason: Reason::PolicySuspended }),
        27 => policies().prop_map(Governance::By),
    ]
}

fn overrides() -> impl Strategy<Value = Overrides> {
    let some = |texts: &'static [&'static str]| {
        prop::option::weighted(0.1, prop::sample::select(texts).prop_map(str::to_owned))
    };
    let enabled = some(&["true", "true", "false", "no"]);
    (enabled, some(&["1h", "6h", "1s"]), some(&["2d", "30d", "?"]), some(&["1", "3", "0"])).prop_map(
        |(enabled, interval, retention, keep_last)| Overrides { enabled, interval, retention, keep_last },
    )
}

fn sandboxes() -> impl Strategy<Value = Option<SandboxRef>> {
    let phases = prop::sample::select(&["Stopped", "Stopped", "Running", "Creating"][..]);
    let one = (phases, overrides(), 1_i64..4).prop_map(|(phase, overrides, active)| SandboxRef {
        overrides,
        last_activity: Some(NOW - hours(24 * active)),
        ..sandbox("s1", phase)
    });
    prop::option::weighted(0.7, one)
}

fn ownerships() -> impl Strategy<Value = Ownership> {
    prop_oneof![
        14 => Just(Ownership::Ours { volume: VolumeUid::new("s1") }),
        1 => Just(Ownership::Ours { volume: VolumeUid::new("a-namesake") }),
        2 => Just(Ownership::AgentTier),
        1 => Just(Ownership::Foreign(Foreign::Velero)),
    ]
}

pub(crate) fn points() -> impl Strategy<Value = RecoveryPoint> {
    let made = (ages(), ownerships(), carried(), amendments());
    let storage = (
        prop::option::weighted(0.6, -5000_i64..90_000),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.4),
    );
    let marks = (
        prop::option::weighted(0.4, 1_i64..4),
        prop::option::weighted(0.25, 0_i64..60).prop_map(|days| days.map(|days| hours(24 * days))),
        rarely(),
        any::<bool>(),
        prop::option::weighted(0.3, -90_000_i64..90_000),
    );
    (made, storage, marks, [rarely(), rarely(), rarely(), rarely()]).prop_map(
        |(
            (age, ownership, retention, amendments),
            (cut, ready, error),
            (rest, gone, after_switch, shown, slot),
            flags,
        )| {
            let created = NOW - age;
            let [terminating, pinned, read, class_retains] = flags;
            RecoveryPoint {
                ownership,
                retention,
                amendments,
                slot: slot.map(|offset| created + seconds(offset)),
                cut: cut.map(|offset| created + seconds(offset)),
                ready,
                error: error.then(|| "the storage's own words".to_owned()),
                at_rest_since: rest.map(|active| NOW - hours(24 * active)),
                gone_since: gone.map(|age| NOW - age),
                after_switch,
                looks_like_agenttiers: shown,
                deleting_since: terminating.then(|| (created + hours(2)).min(NOW)),
                pinned,
                class_retains,
                readers: read.then(|| "claim/reader".to_owned()).into_iter().collect(),
                ..unready(&volume("s1"), "to-be-named", created)
            }
        },
    )
}

fn volumes() -> impl Strategy<Value = Volume> {
    let phases = prop_oneof![
        12 => Just(ClaimPhase::Bound), 4 => Just(ClaimPhase::Gone), 1 => Just(ClaimPhase::Abandoned),
        1 => Just(ClaimPhase::Pending), 1 => Just(ClaimPhase::Lost),
    ];
    let loops = prop_oneof![
        4 => Just(AgentTierLoop::Off), 1 => Just(AgentTierLoop::Sweeps), 2 => Just(AgentTierLoop::Covers),
    ];
    let life = (phases, loops, sandboxes(), prop::bool::weighted(0.12), -100_i64..3_000_000);
    let parts = (life, prop::collection::vec(points(), 0..14), [rarely(), rarely(), rarely(), rarely()]);
    parts.prop_map(|((phase, agenttier_loop, sandbox, switched, age), mut points, flags)| {
        for (n, point) in points.iter_mut().enumerate() {
            (point.name, point.uid) = (format!("p{n:02}"), format!("uid-{n}"));
        }
        // Nothing was taken after the sandbox was found gone, but where the note is of another time.
        let noted = points.iter().filter_map(|point| point.gone_since).max();
        if let (ClaimPhase::Gone, Some(since), true) = (phase, noted, points.len() % 5 != 0) {
            for point in points.iter_mut().filter(|point| point.created > since) {
                let later = point.created.duration_since(since);
                point.created -= later;
                point.cut = point.cut.map(|cut| cut - later);
                point.slot = point.slot.map(|slot| slot - later);
            }
        }
        let [terminating, shared, attached, not_csi] = flags;
        let volume = Volume {
            phase,
            agenttier_loop,
            sandbox: sandbox.filter(|_| phase != ClaimPhase::Gone || switched),
            switched_to: switched.then(|| "pool-1".to_owned()),
            terminating,
            shared,
            attached,
            driver: (!not_csi).then(|| "dir.csi".to_owned()),
            created: NOW - seconds(age),
            ..volume("s1")
        };
        with(volume, points)
    })
}

pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let class = |name: &str, driver: &str, retains| SnapshotClass {
        name: name.into(),
        driver: driver.into(),
        is_default: true,
        retains,
    };
    let classes = prop_oneof![
        3 => Just(None),
        2 => any::<bool>().prop_map(move |retains| {
            Some(vec![class("usual", "dir.csi", retains), class("others", "other.csi", false)])
        }),
        1 => Just(Some(vec![])),
    ];
    let pressures =
        prop_oneof![8 => Just(Pressure::None), 1 => Just(Pressure::NearLimit), 1 => Just(Pressure::AtLimit)];
    (governances(), volumes(), classes, pressures).prop_map(|(governance, volume, classes, pressure)| World {
        governance,
        volume,
        classes,
        pressure,
    })
}
