//! What is to become of each Schedule.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::name;

/// What the policies say of a namespace's backups by Velero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No policy selects the namespace.
    Nobody,
    /// Its policy wants none.
    Off {
        /// Name of the policy.
        policy: String,
    },
    /// Its policy is suspended.
    Suspended {
        /// Name of the policy.
        policy: String,
    },
    /// Its policy wants them, and a label of the namespace has Velero leave it out: such a backup would be refused.
    Excluded {
        /// Name of the policy.
        policy: String,
    },
    /// What its policy says makes no sense.
    Invalid {
        /// Name of the policy.
        policy: String,
    },
    /// Its policy wants them.
    On {
        /// Name of the policy.
        policy: String,
    },
}

impl Rule {
    /// Name of the policy.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::Off { policy }
            | Self::Suspended { policy }
            | Self::Excluded { policy }
            | Self::Invalid { policy }
            | Self::On { policy } => Some(policy),
        }
    }
}

/// A namespace that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceSight {
    /// Its name.
    pub name: String,
    /// It is being deleted.
    pub terminating: bool,
    /// It holds a Sandbox.
    pub holds_sandboxes: bool,
    /// What the policies say.
    pub rule: Rule,
}

/// A Schedule that there is in Velero's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSight {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// Backups of it may be left.
    pub may_have_backups: bool,
}

/// Whose a Schedule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// We made it, in this cluster.
    Ours {
        /// The namespace that it says it backs up.
        namespace: String,
        /// The policy that it says it was rendered under.
        policy: Option<String>,
        /// It is from when this cluster was called otherwise. One that is called like no Schedule that we would have made is
        /// neither: somebody has copied one of ours.
        former: bool,
    },
    /// Somebody else's.
    Other,
}

/// What a Schedule is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "wish", content = "reason")]
pub enum Wish {
    /// As its policy says.
    Enabled,
    /// As its policy says, and paused.
    Paused(Why),
    /// Not there. Its backups stay: Velero deletes them when their time is over.
    Removed(Why),
    /// Left as it is.
    Untouched(Why),
}

/// Why a Schedule is not simply enabled. Names are stable: they are shown and alerted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Why {
    /// Its namespace is gone: a backup of it would fail in part. When the last of its backups is gone too, so is it.
    NamespaceGone,
    /// Its namespace is being deleted: a backup of it would hold but what is left.
    NamespaceTerminating,
    /// A label of its namespace has Velero leave it out.
    NamespaceExcluded,
    /// Its policy is suspended.
    PolicySuspended,
    /// Its policy makes no sense.
    PolicyInvalid,
    /// Its policy wants no backups by Velero.
    PolicyOff,
    /// No policy selects its namespace any more.
    NotSelected,
    /// The cluster has another name now, and so has the Schedule that takes its place.
    ClusterRenamed,
    /// A Schedule of that name is there, and it is not ours.
    ScheduleTaken,
    /// What the policies and namespaces are is not certain for the moment.
    NotCertain,
}

/// What is to become of a Schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The namespace that it backs up.
    pub namespace: String,
    /// The policy that it is rendered under.
    pub policy: Option<String>,
    /// What it is to be.
    pub wish: Wish,
}

/// Says what is to become of the Schedule of every namespace that has one or is to have one, by name.
///
/// A namespace gets its Schedule with its first Sandbox and keeps it when the last one goes: what the sandboxes left
/// behind is worth its backup. `policies_on` are the policies that want backups by Velero. `certain` says that all
/// policies and namespaces are seen as they are; while they are not, nothing is removed, paused or rendered otherwise
/// because something is absent.
#[must_use]
pub fn plan(
    cluster: &str,
    namespaces: &[NamespaceSight],
    policies_on: &BTreeSet<String>,
    schedules: &[ScheduleSight],
    certain: bool,
) -> Vec<Plan> {
    let there: BTreeMap<&str, &Owner> =
        schedules.iter().map(|schedule| (schedule.name.as_str(), &schedule.owner)).collect();
    let named: BTreeMap<String, &NamespaceSight> =
        namespaces.iter().map(|namespace| (name(cluster, &namespace.name), namespace)).collect();
    let known: BTreeMap<&str, (&String, &NamespaceSight)> =
        named.iter().map(|(name, namespace)| (namespace.name.as_str(), (name, *namespace))).collect();
    let others: Vec<(&ScheduleSight, &str, &Option<String>)> = schedules
        .iter()
        .filter(|schedule| !named.contains_key(&schedule.name))
        .filter_map(left_over(cluster))
        .collect();
    let had_one: BTreeSet<&str> = others.iter().map(|(_, namespace, _)| *namespace).collect();
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    for (name, namespace) in &named {
        let had_one = had_one.contains(namespace.name.as_str());
        if let Some(wish) = wish_of(namespace, there.get(name.as_str()).copied(), had_one, certain) {
            let policy = namespace.rule.policy().map(str::to_owned);
            let (name, namespace) = (name.clone(), namespace.name.clone());
            plans.insert(name.clone(), Plan { name, namespace, policy, wish });
        }
    }
    for (schedule, namespace, policy) in others {
        // One whose policy cannot be told any more may be of any.
        let is_wanted =
            policy.as_ref().map_or(!policies_on.is_empty(), |policy| policies_on.contains(policy));
        let wish = match known.get(namespace) {
            _ if !certain => Wish::Untouched(Why::NotCertain),
            Some((name, known)) => wish_of_former(known, there.get(name.as_str()).copied()),
            None if !is_wanted => Wish::Removed(Why::PolicyOff),
            None if schedule.may_have_backups => Wish::Paused(Why::NamespaceGone),
            None => Wish::Removed(Why::NamespaceGone),
        };
        let (name, namespace) = (schedule.name.clone(), namespace.to_owned());
        plans.insert(name.clone(), Plan { name, namespace, policy: policy.clone(), wish });
    }
    plans.into_values().collect()
}

/// Ours whose name is not that of any namespace that there is: of one that is gone, or from before the cluster was renamed.
fn left_over<'a>(
    cluster: &str,
) -> impl Fn(&'a ScheduleSight) -> Option<(&'a ScheduleSight, &'a str, &'a Option<String>)> {
    move |schedule| match &schedule.owner {
        Owner::Ours { namespace, policy, former } if *former || name(cluster, namespace) == schedule.name => {
            Some((schedule, namespace.as_str(), policy))
        }
        _ => None,
    }
}

/// What the Schedule of a namespace is to be, given whose the one of its name is, and whether there is one under another name;
/// `None` where there is none, and need not be.
fn wish_of(namespace: &NamespaceSight, owner: Option<&Owner>, had_one: bool, certain: bool) -> Option<Wish> {
    // By its name alone: what else it says may have been edited.
    let is_ours = matches!(owner, Some(Owner::Ours { .. }));
    // The policy that it was made under may be there, and select the namespace as before.
    let under_another = matches!(owner, Some(Owner::Ours { policy: Some(noted), .. }) if Some(noted.as_str()) != namespace.rule.policy());
    if under_another && !certain {
        return Some(Wish::Untouched(Why::NotCertain));
    }
    let removed =
        |why| is_ours.then_some(if certain { Wish::Removed(why) } else { Wish::Untouched(Why::NotCertain) });
    let wanted = match &namespace.rule {
        Rule::Nobody => return removed(Why::NotSelected),
        Rule::Off { .. } => return removed(Why::PolicyOff),
        Rule::Invalid { .. } => return is_ours.then_some(Wish::Untouched(Why::PolicyInvalid)),
        Rule::Suspended { .. } => return is_ours.then_some(Wish::Paused(Why::PolicySuspended)),
        Rule::Excluded { .. } if is_ours => return Some(Wish::Paused(Why::NamespaceExcluded)),
        Rule::Excluded { .. } => {
            return namespace.holds_sandboxes.then_some(Wish::Untouched(Why::NamespaceExcluded));
        }
        Rule::On { .. } => is_ours || had_one || namespace.holds_sandboxes,
    };
    if !wanted {
        return None;
    }
    if owner.is_some() && !is_ours {
        return Some(Wish::Untouched(Why::ScheduleTaken));
    }
    if namespace.terminating {
        return is_ours.then_some(Wish::Paused(Why::NamespaceTerminating));
    }
    Some(Wish::Enabled)
}

/// What a Schedule is to be whose cluster has another name by now, given whose the one of the new name is: it stands in
/// until that is ours.
fn wish_of_former(namespace: &NamespaceSight, successor: Option<&Owner>) -> Wish {
    if matches!(successor, Some(Owner::Ours { .. })) {
        return Wish::Removed(Why::ClusterRenamed);
    }
    match &namespace.rule {
        Rule::Nobody => Wish::Removed(Why::NotSelected),
        Rule::Off { .. } => Wish::Removed(Why::PolicyOff),
        Rule::Invalid { .. } => Wish::Untouched(Why::PolicyInvalid),
        Rule::Suspended { .. } => Wish::Paused(Why::PolicySuspended),
        Rule::Excluded { .. } => Wish::Paused(Why::NamespaceExcluded),
        Rule::On { .. } if namespace.terminating => Wish::Paused(Why::NamespaceTerminating),
        Rule::On { .. } => Wish::Enabled,
    }
}
