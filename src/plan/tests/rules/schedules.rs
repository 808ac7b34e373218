//! What becomes of Velero's Schedules.

use std::collections::BTreeSet;

use agenttier_backup_plan::schedules::{
    NamespaceSight, Owner, Plan, Rule, ScheduleSight, Why, Wish, name, plan,
};
use proptest::prelude::*;

const CLUSTER: &str = "east";

fn on() -> Rule {
    Rule::On { policy: "gold".into() }
}

fn namespace(name: &str, rule: Rule) -> NamespaceSight {
    NamespaceSight { name: name.into(), terminating: false, holds_sandboxes: true, rule }
}

fn ours(namespace: &str) -> ScheduleSight {
    let owner = Owner::Ours { namespace: namespace.into(), policy: Some("gold".into()), former: false };
    ScheduleSight { name: name(CLUSTER, namespace), owner, may_have_backups: true }
}

fn others(name: &str) -> ScheduleSight {
    ScheduleSight { name: name.into(), owner: Owner::Other, may_have_backups: true }
}

/// What becomes of each Schedule while the policy gold wants backups.
fn wishes(namespaces: &[NamespaceSight], schedules: &[ScheduleSight], certain: bool) -> Vec<(String, Wish)> {
    let on = BTreeSet::from(["gold".to_owned()]);
    let planned = plan(CLUSTER, namespaces, &on, schedules, certain);
    planned.into_iter().map(|Plan { name, wish, .. }| (name, wish)).collect()
}

fn team_a(rule: Rule, schedules: &[ScheduleSight]) -> Option<Wish> {
    let mut wishes = wishes(&[namespace("team-a", rule)], schedules, true);
    assert!(wishes.len() <= 1, "{wishes:?}");
    wishes.pop().map(|(name, wish)| {
        assert_eq!(name, "east-team-a");
        wish
    })
}

#[test]
fn a_namespace_gets_its_schedule_with_its_first_sandbox_and_keeps_it_without() {
    let empty = NamespaceSight { holds_sandboxes: false, ..namespace("team-a", on()) };
    assert_eq!(wishes(std::slice::from_ref(&empty), &[], true), []);
    assert_eq!(team_a(on(), &[]), Some(Wish::Enabled));
    assert_eq!(wishes(&[empty], &[ours("team-a")], true), [("east-team-a".into(), Wish::Enabled)]);
}

/// Velero would refuse its backups; that it has none is to be told.
#[test]
fn a_namespace_that_is_left_out_is_told_of_also_without_a_schedule() {
    let excluded = || Rule::Excluded { policy: "gold".to_owned() };
    assert_eq!(team_a(excluded(), &[]), Some(Wish::Untouched(Why::NamespaceExcluded)));
    assert_eq!(team_a(excluded(), &[ours("team-a")]), Some(Wish::Paused(Why::NamespaceExcluded)));
    let empty = NamespaceSight { holds_sandboxes: false, ..namespace("team-a", excluded()) };
    assert_eq!(wishes(&[empty], &[], true), []);
}

#[test]
fn what_the_policy_says_becomes_of_it() {
    let policy = || "gold".to_owned();
    for (rule, wish) in [
        (Rule::Nobody, Wish::Removed(Why::NotSelected)),
        (Rule::Off { policy: policy() }, Wish::Removed(Why::PolicyOff)),
        (Rule::Suspended { policy: policy() }, Wish::Paused(Why::PolicySuspended)),
        (Rule::Invalid { policy: policy() }, Wish::Untouched(Why::PolicyInvalid)),
    ] {
        assert_eq!(team_a(rule.clone(), &[ours("team-a")]), Some(wish));
        assert_eq!(team_a(rule, &[]), None, "none is made for that");
    }
}

#[test]
fn somebody_elses_schedule_is_never_touched() {
    for rule in
        [on(), Rule::Nobody, Rule::Off { policy: "gold".into() }, Rule::Suspended { policy: "gold".into() }]
    {
        let expected = (rule == on()).then_some(Wish::Untouched(Why::ScheduleTaken));
        assert_eq!(team_a(rule, &[others("east-team-a")]), expected);
    }
    assert_eq!(wishes(&[], &[others("east-team-a"), others("nightly")], true), []);
}

#[test]
fn a_namespace_that_goes_pauses_its_schedule() {
    let going = NamespaceSight { terminating: true, ..namespace("team-a", on()) };
    let paused = |why| [("east-team-a".to_owned(), Wish::Paused(why))];
    let schedule = [ours("team-a")];
    assert_eq!(wishes(std::slice::from_ref(&going), &schedule, true), paused(Why::NamespaceTerminating));
    assert_eq!(wishes(&[going], &[], true), [], "it gets none in its last minute");
    assert_eq!(wishes(&[], &schedule, true), paused(Why::NamespaceGone));
}

/// The one of a namespace that is gone, as it says it was made under that policy, while gold is on or none is.
fn of_a_gone_one(policy: Option<&str>, may_have_backups: bool, on: &[&str]) -> Wish {
    let owner = Owner::Ours { namespace: "team-a".into(), policy: policy.map(str::to_owned), former: false };
    let schedule = ScheduleSight { name: "east-team-a".into(), owner, may_have_backups };
    let on: BTreeSet<String> = on.iter().map(|policy| (*policy).to_owned()).collect();
    let [plan] = &plan(CLUSTER, &[], &on, &[schedule], true)[..] else { panic!("there is one") };
    plan.wish
}

#[test]
fn of_a_namespace_that_is_gone_it_goes_with_its_policy_or_with_the_last_of_its_backups() {
    let (paused, off) = (Wish::Paused(Why::NamespaceGone), Wish::Removed(Why::PolicyOff));
    assert_eq!(of_a_gone_one(Some("gold"), true, &["gold"]), paused);
    assert_eq!(of_a_gone_one(Some("gold"), false, &["gold"]), Wish::Removed(Why::NamespaceGone));
    assert_eq!(of_a_gone_one(Some("bronze"), true, &["gold"]), off);
    assert_eq!(of_a_gone_one(None, true, &["gold"]), paused, "somebody took the mark off");
    assert_eq!(of_a_gone_one(None, true, &[]), off);
}

/// With all its labels, under a name of theirs.
#[test]
fn a_copy_of_ours_that_somebody_made_is_left_alone() {
    let copy = ScheduleSight { name: "my-nightly".into(), ..ours("team-a") };
    let enabled = ("east-team-a".to_owned(), Wish::Enabled);
    let team_a = [namespace("team-a", on())];
    assert_eq!(wishes(&team_a, &[ours("team-a"), copy.clone()], true), [enabled]);
    assert_eq!(wishes(&[], &[copy], true), [], "also when the namespace is gone");
}

/// The policy that it was made under may only be out of sight, and a lower one seem to rule instead.
#[test]
fn while_policies_are_not_certain_none_takes_the_place_of_another() {
    let other = || "silver".to_owned();
    for rule in
        [Rule::On { policy: other() }, Rule::Suspended { policy: other() }, Rule::Invalid { policy: other() }]
    {
        let seen = [namespace("team-a", rule)];
        let untouched = ("east-team-a".to_owned(), Wish::Untouched(Why::NotCertain));
        assert_eq!(wishes(&seen, &[ours("team-a")], false), [untouched]);
        assert_ne!(wishes(&seen, &[ours("team-a")], true)[0].1, Wish::Untouched(Why::NotCertain));
    }
    let enabled = ("east-team-a".to_owned(), Wish::Enabled);
    assert_eq!(wishes(&[namespace("team-a", on())], &[ours("team-a")], false), [enabled], "its own goes on");
}

/// Of the namespace team-a, made when the cluster was called k-1234.
fn former() -> ScheduleSight {
    let owner = Owner::Ours { namespace: "team-a".into(), policy: Some("gold".into()), former: true };
    ScheduleSight { name: "k-1234-team-a".into(), owner, may_have_backups: true }
}

/// Whatever comes between: there is always one that makes backups.
#[test]
fn a_cluster_that_is_renamed_replaces_its_schedules_one_after_the_other() {
    // What its sandboxes left behind is worth its backup under the new name as well.
    for holds_sandboxes in [true, false] {
        let team_a = [NamespaceSight { holds_sandboxes, ..namespace("team-a", on()) }];
        let wishes_with = |schedules: &[ScheduleSight]| wishes(&team_a, schedules, true);
        let renamed = Why::ClusterRenamed;
        let (new, old) = (|wish| ("east-team-a".to_owned(), wish), |wish| ("k-1234-team-a".to_owned(), wish));
        assert_eq!(wishes_with(&[former()]), [new(Wish::Enabled), old(Wish::Enabled)]);
        let both = [ours("team-a"), former()];
        assert_eq!(wishes_with(&both), [new(Wish::Enabled), old(Wish::Removed(renamed))]);
        let taken = new(Wish::Untouched(Why::ScheduleTaken));
        assert_eq!(wishes_with(&[others("east-team-a"), former()]), [taken, old(Wish::Enabled)]);
    }
}

#[test]
fn a_schedule_under_a_former_name_goes_by_its_policy_too() {
    let policy = || "gold".to_owned();
    for (rule, wish) in [
        (Rule::Nobody, Wish::Removed(Why::NotSelected)),
        (Rule::Off { policy: policy() }, Wish::Removed(Why::PolicyOff)),
        (Rule::Suspended { policy: policy() }, Wish::Paused(Why::PolicySuspended)),
        (Rule::Invalid { policy: policy() }, Wish::Untouched(Why::PolicyInvalid)),
    ] {
        let former_name = ("k-1234-team-a".to_owned(), wish);
        assert_eq!(wishes(&[namespace("team-a", rule)], &[former()], true), [former_name]);
    }
    let going = NamespaceSight { terminating: true, ..namespace("team-a", on()) };
    let paused = |why| [("k-1234-team-a".to_owned(), Wish::Paused(why))];
    assert_eq!(wishes(&[going], &[former()], true), paused(Why::NamespaceTerminating));
    assert_eq!(wishes(&[], &[former()], true), paused(Why::NamespaceGone));
}

fn rules() -> impl Strategy<Value = Rule> {
    let policy = || "gold".to_owned();
    prop_oneof![
        Just(Rule::Nobody),
        Just(Rule::Off { policy: policy() }),
        Just(Rule::Suspended { policy: policy() }),
        Just(Rule::Invalid { policy: policy() }),
        Just(on()),
    ]
}

fn namespaces() -> impl Strategy<Value = Vec<NamespaceSight>> {
    let one = ("[a-d]", any::<bool>(), any::<bool>(), rules()).prop_map(
        |(name, terminating, holds_sandboxes, rule)| NamespaceSight {
            name,
            terminating,
            holds_sandboxes,
            rule,
        },
    );
    proptest::collection::vec(one, 0..5).prop_map(|mut namespaces| {
        namespaces.sort_by(|one, other| one.name.cmp(&other.name));
        namespaces.dedup_by(|one, other| one.name == other.name);
        namespaces
    })
}

fn schedules() -> impl Strategy<Value = Vec<ScheduleSight>> {
    let one = ("(east|west)-[a-f]", "[a-f]", 0..3_u8, any::<(bool, bool, bool)>()).prop_map(
        |(name, namespace, policy, more)| {
            let (ours, former, may_have_backups) = more;
            let policy = ["gold", "bronze"].get(usize::from(policy)).map(|policy| (*policy).to_owned());
            let owner = if ours { Owner::Ours { namespace, policy, former } } else { Owner::Other };
            ScheduleSight { name, owner, may_have_backups }
        },
    );
    proptest::collection::vec(one, 0..6).prop_map(|mut schedules| {
        schedules.sort_by(|one, other| one.name.cmp(&other.name));
        schedules.dedup_by(|one, other| one.name == other.name);
        schedules
    })
}

proptest! {
    #[test]
    fn whatever_there_is(
        namespaces in namespaces(),
        schedules in schedules(),
        policy_on in any::<bool>(),
        certain in any::<bool>(),
    ) {
        let on: BTreeSet<String> = policy_on.then(|| "gold".to_owned()).into_iter().collect();
        let planned = plan(CLUSTER, &namespaces, &on, &schedules, certain);
        let owner = |name: &str| schedules.iter().find(|schedule| schedule.name == name).map(|found| &found.owner);
        for Plan { name, wish, .. } in &planned {
            let is_others = owner(name) == Some(&Owner::Other);
            prop_assert!(!is_others || *wish == Wish::Untouched(Why::ScheduleTaken), "{} {:?}", name, wish);
            match wish {
                Wish::Removed(_) => prop_assert!(certain && owner(name).is_some()),
                Wish::Paused(_) => prop_assert!(owner(name).is_some(), "none is made to be paused"),
                Wish::Enabled | Wish::Untouched(_) => {}
            }
        }
        let is_known = |schedule: &ScheduleSight| match &schedule.owner {
            Owner::Other => false,
            Owner::Ours { namespace, former, .. } => {
                let is_of = |namespace: &str| name(CLUSTER, namespace) == schedule.name;
                *former || is_of(namespace)
            }
        };
        for schedule in schedules.iter().filter(|schedule| is_known(schedule)) {
            prop_assert!(planned.iter().any(|plan| plan.name == schedule.name), "nothing is said of {}", schedule.name);
        }
        for namespace in &namespaces {
            let its = name(CLUSTER, &namespace.name);
            let wanted = matches!(namespace.rule, Rule::On { .. }) && namespace.holds_sandboxes && !namespace.terminating;
            let is_under_another = |owner: &Owner| {
                matches!(owner, Owner::Ours { policy: Some(policy), .. } if policy != "gold")
            };
            let is_doubted = !certain && owner(&its).is_some_and(is_under_another);
            if wanted && owner(&its) != Some(&Owner::Other) {
                let plan = planned.iter().find(|plan| plan.name == its);
                let wish = if is_doubted { Wish::Untouched(Why::NotCertain) } else { Wish::Enabled };
                prop_assert_eq!(plan.map(|plan| plan.wish), Some(wish));
            }
        }
        // What was done as said needs nothing further, but that what has been replaced goes.
        let done = |planned: &[Plan], schedules: &[ScheduleSight]| -> Vec<ScheduleSight> {
            let is_removed = |name: &str| {
                planned.iter().any(|plan| plan.name == name && matches!(plan.wish, Wish::Removed(_)))
            };
            let kept = schedules.iter().filter(|schedule| !is_removed(&schedule.name)).cloned();
            let is_new = |plan: &&Plan| {
                plan.wish == Wish::Enabled && !schedules.iter().any(|schedule| schedule.name == plan.name)
            };
            let made = planned.iter().filter(is_new).map(|plan| {
                let (namespace, policy) = (plan.namespace.clone(), plan.policy.clone());
                let owner = Owner::Ours { namespace, policy, former: false };
                ScheduleSight { name: plan.name.clone(), owner, may_have_backups: false }
            });
            kept.chain(made).collect()
        };
        let after = done(&planned, &schedules);
        let next = plan(CLUSTER, &namespaces, &on, &after, certain);
        let replaced = |plan: &&Plan| plan.wish == Wish::Removed(Why::ClusterRenamed);
        let removed = |plans: &[Plan]| plans.iter().filter(|plan| matches!(plan.wish, Wish::Removed(_))).count();
        prop_assert_eq!(removed(&next), next.iter().filter(replaced).count());
        let last = done(&next, &after);
        let again = plan(CLUSTER, &namespaces, &on, &last, certain);
        let lasting: Vec<Plan> = next.into_iter().filter(|plan| !matches!(plan.wish, Wish::Removed(_))).collect();
        prop_assert_eq!(again, lasting);
    }
}
