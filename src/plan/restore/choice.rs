//! Which recovery point a sandbox is restored from.
//!
//! A sandbox can have had several volumes: AgentTier may have moved it to an empty one of a warm pool, and an
//! earlier sandbox may have had its name. Which of them is meant cannot be told from here, so that nothing is
//! chosen where it could be the wrong one.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::VolumeUid;

/// A recovery point that can be restored from, as its marks have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// UID of the claim whose data it holds.
    pub volume: VolumeUid,
    /// Name of that claim.
    pub claim: String,
    /// The Sandbox that used the claim then, where it says so.
    pub sandbox: Option<String>,
    /// When it was created, by the API server's clock.
    pub created: Timestamp,
    /// The moment that its data is from.
    pub taken_at: Timestamp,
}

/// The sandbox whose data is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub sandbox: String,
    /// The claims that can be its workspace: the one that AgentTier makes for a sandbox of its name, and the one
    /// that its status names.
    pub claims: Vec<String>,
    /// UID of the claim that it uses now, where that exists.
    pub volume: Option<VolumeUid>,
    /// No data younger than this is wanted.
    pub as_of: Option<Timestamp>,
}

/// What to restore from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The newest recovery point of the sandbox's one volume.
    Newest(Candidate),
    /// There are recovery points, but not of one volume, or not of the volume that the sandbox uses now: the newest
    /// of each, newest first.
    Unclear(Vec<Candidate>),
    /// There are recovery points, but the data of all of them is younger than wanted: oldest first.
    AllYounger(Vec<Candidate>),
    /// There is none.
    None,
}

impl Wanted {
    /// Whether data of that claim, which was that sandbox's where a mark tells, is this sandbox's.
    #[must_use]
    pub fn had(&self, claim: &str, sandbox: Option<&str>) -> bool {
        sandbox == Some(self.sandbox.as_str()) || self.claims.iter().any(|own| own == claim)
    }
}

/// Chooses among all recovery points of a namespace.
///
/// The newest is the newest by the API server's clock, as retention has it: the storage's may tell any time.
#[must_use]
pub fn choose(wanted: &Wanted, candidates: impl IntoIterator<Item = Candidate>) -> Choice {
    let own = candidates.into_iter().filter(|point| wanted.had(&point.claim, point.sandbox.as_deref()));
    let is_old_enough = |point: &Candidate| wanted.as_of.is_none_or(|as_of| point.taken_at <= as_of);
    let (eligible, mut younger): (Vec<_>, Vec<_>) = own.partition(is_old_enough);
    if eligible.is_empty() && !younger.is_empty() {
        younger.sort_by(|a, b| (a.taken_at, &a.name).cmp(&(b.taken_at, &b.name)));
        return Choice::AllYounger(younger);
    }
    let mut newest: BTreeMap<VolumeUid, Candidate> = BTreeMap::new();
    for candidate in eligible {
        let best = newest.entry(candidate.volume.clone()).or_insert_with(|| candidate.clone());
        if (candidate.created, &candidate.name) > (best.created, &best.name) {
            *best = candidate;
        }
    }
    let in_use = |candidate: &Candidate| wanted.volume.as_ref().is_none_or(|uid| *uid == candidate.volume);
    let mut newest: Vec<Candidate> = newest.into_values().collect();
    newest.sort_by(|a, b| (b.created, &b.name).cmp(&(a.created, &a.name)));
    match newest.len() {
        0 => Choice::None,
        1 if in_use(&newest[0]) => Choice::Newest(newest.remove(0)),
        _ => Choice::Unclear(newest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point `name` of the claim `claim` with that UID, used by `sandbox`, created at `second`.
    fn point(name: &str, claim: &str, volume: &str, sandbox: Option<&str>, second: i64) -> Candidate {
        Candidate {
            name: name.into(),
            volume: VolumeUid::new(volume),
            claim: claim.into(),
            sandbox: sandbox.map(Into::into),
            created: Timestamp::from_second(second).expect("within range"),
            taken_at: Timestamp::from_second(second).expect("within range"),
        }
    }

    /// The sandbox `s1` on the claim `uses`, which has that UID if it exists.
    fn s1(uses: &str, volume: Option<&str>) -> Wanted {
        Wanted {
            sandbox: "s1".into(),
            claims: vec!["s1-workspace".into(), uses.into()],
            volume: volume.map(VolumeUid::new),
            as_of: None,
        }
    }

    fn as_of(second: i64, wanted: Wanted) -> Wanted {
        Wanted { as_of: Some(Timestamp::from_second(second).expect("within range")), ..wanted }
    }

    fn unclear(wanted: &Wanted, points: &[Candidate]) -> Vec<String> {
        match choose(wanted, points.to_vec()) {
            Choice::Unclear(newest) => newest.into_iter().map(|point| point.name).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn newest(wanted: &Wanted, points: &[Candidate]) -> String {
        match choose(wanted, points.to_vec()) {
            Choice::Newest(point) => point.name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_newest_of_its_one_volume() {
        let points = [
            point("old", "s1-workspace", "u1", Some("s1"), 10),
            point("new", "s1-workspace", "u1", Some("s1"), 20),
            point("others", "s2-workspace", "u2", Some("s2"), 30),
        ];
        assert_eq!(newest(&s1("s1-workspace", Some("u1")), &points), "new");
        assert_eq!(newest(&s1("s1-workspace", None), &points), "new", "its claim is gone");
        let warm = [point("warm", "pool-1-pvc", "u3", Some("s1"), 10)];
        assert_eq!(newest(&s1("pool-1-pvc", Some("u3")), &warm), "warm");
        let unmarked = [point("warm", "pool-1-pvc", "u3", None, 10)];
        assert_eq!(newest(&s1("pool-1-pvc", Some("u3")), &unmarked), "warm", "known by its claim");
    }

    /// AgentTier resumed it on an empty volume of the pool, which by now has the newest point.
    #[test]
    fn a_sandbox_that_was_moved_to_another_volume_is_asked_about() {
        let points = [
            point("work-1", "s1-workspace", "u1", Some("s1"), 10),
            point("work-2", "s1-workspace", "u1", Some("s1"), 20),
            point("empty", "pool-1-pvc", "u2", Some("s1"), 30),
        ];
        assert_eq!(unclear(&s1("pool-1-pvc", Some("u2")), &points), ["empty", "work-2"]);
        assert_eq!(unclear(&s1("pool-1-pvc", None), &points), ["empty", "work-2"], "both gone");
        assert_eq!(unclear(&s1("s1-workspace", Some("u1")), &points), ["empty", "work-2"], "and put back");
    }

    /// Either it was moved, and what it uses now has no point yet, or an earlier sandbox had its name.
    #[test]
    fn points_of_another_volume_than_the_one_in_use_are_asked_about_even_where_they_are_the_only_ones() {
        let points = [point("work", "s1-workspace", "u1", Some("s1"), 10)];
        assert_eq!(unclear(&s1("pool-1-pvc", Some("u2")), &points), ["work"]);
        assert_eq!(unclear(&s1("s1-workspace", Some("u3")), &points), ["work"], "the same name, made again");
    }

    #[test]
    fn what_is_of_others_does_not_count() {
        let points = [point("others", "s2-workspace", "u2", Some("s2"), 30)];
        assert_eq!(choose(&s1("s1-workspace", Some("u1")), points), Choice::None);
        assert!(!s1("pool-1-pvc", None).had("s2-workspace", None));
        assert!(s1("pool-1-pvc", None).had("pool-2-pvc", Some("s1")), "it used that one once");
    }

    #[test]
    fn as_of_a_moment_it_is_the_newest_that_is_not_younger() {
        let points = [
            point("first", "s1-workspace", "u1", Some("s1"), 10),
            point("second", "s1-workspace", "u1", Some("s1"), 20),
            point("third", "s1-workspace", "u1", Some("s1"), 30),
            point("others", "s2-workspace", "u2", Some("s2"), 5),
        ];
        let s1 = || s1("s1-workspace", Some("u1"));
        for (second, wanted) in
            [(10, "first"), (19, "first"), (20, "second"), (29, "second"), (30, "third"), (99, "third")]
        {
            assert_eq!(newest(&as_of(second, s1()), &points), wanted, "as of {second}");
        }
        let Choice::AllYounger(there_are) = choose(&as_of(9, s1()), points.clone()) else {
            panic!("all are younger, and another sandbox's is none of its")
        };
        let names: Vec<_> = there_are.iter().map(|point| point.name.as_str()).collect();
        assert_eq!(names, ["first", "second", "third"]);
        assert_eq!(choose(&as_of(99, s1()), points[3..].to_vec()), Choice::None);
    }

    /// What counts is when the data was cut. A later order may have cut earlier data only by a clock that is wrong,
    /// so that among those that are old enough the last order is the newest.
    #[test]
    fn as_of_goes_by_the_data_and_newest_by_the_order() {
        let moment = |second| Timestamp::from_second(second).expect("within range");
        let mut late = point("late", "s1-workspace", "u1", Some("s1"), 20);
        late.taken_at = moment(40);
        let points = [point("early", "s1-workspace", "u1", Some("s1"), 10), late];
        assert_eq!(newest(&as_of(39, s1("s1-workspace", Some("u1"))), &points), "early");
        assert_eq!(newest(&as_of(40, s1("s1-workspace", Some("u1"))), &points), "late");
    }

    #[test]
    fn before_it_was_moved_a_sandbox_had_one_volume_only() {
        let points = [
            point("work", "s1-workspace", "u1", Some("s1"), 10),
            point("empty", "pool-1-pvc", "u2", Some("s1"), 30),
        ];
        let wanted = as_of(20, s1("pool-1-pvc", Some("u2")));
        assert_eq!(unclear(&wanted, &points), ["work"], "of another volume than the one in use: asked about");
    }
}
