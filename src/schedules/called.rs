//! What a Schedule is called after. Somebody may edit its labels and its spec, or make a copy of it; its name is as it was made.

use agenttier_backup_plan::schedules::name;
use kube::ResourceExt;
use velero::Schedule;

use super::cluster::ClusterIdentity;
use super::template::{CLUSTER, CLUSTER_UID, NAMESPACE};

/// What the name of a Schedule of ours tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Called {
    /// The namespace.
    pub(super) namespace: String,
    /// The cluster was called otherwise then.
    pub(super) former: bool,
}

/// What a Schedule is called after: one of the namespaces that it tells, by the name of the cluster; or by the one that its
/// label tells, where it is of this very cluster. `None` where somebody has called it something else.
pub(super) fn called(cluster: &ClusterIdentity, schedule: &Schedule) -> Option<Called> {
    let is_of_here = || schedule.annotations().get(CLUSTER_UID) == Some(&cluster.uid);
    let before = || schedule.labels().get(CLUSTER).filter(|_| is_of_here());
    let here = called_in(&cluster.name, schedule).map(|namespace| (namespace, false));
    let found = here.or_else(|| Some((called_in(before()?, schedule)?, true)));
    found.map(|(namespace, former)| Called { namespace: namespace.to_owned(), former })
}

/// The namespace that a Schedule is called after in a cluster of this name.
pub(super) fn called_in<'a>(cluster: &str, schedule: &'a Schedule) -> Option<&'a str> {
    told(schedule).find(|told| name(cluster, told) == schedule.name_any())
}

/// The namespaces that a Schedule tells: by its label, and by what it backs up. Somebody may have edited one of the two.
pub(super) fn told(schedule: &Schedule) -> impl Iterator<Item = &str> {
    let included = schedule.spec.template.included_namespaces.iter().flatten().next();
    schedule.labels().get(NAMESPACE).into_iter().chain(included).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schedule(name: &str, uid: &str, label: &str, included: &str) -> Schedule {
        serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": { CLUSTER: "east", NAMESPACE: label },
                "annotations": { CLUSTER_UID: uid },
            },
            "spec": { "schedule": "@daily", "template": { "includedNamespaces": [included] } },
        }))
        .expect("a Schedule")
    }

    #[test]
    fn the_name_tells_the_namespace_whatever_else_was_edited() {
        let cluster = |name: &str| ClusterIdentity { name: name.into(), uid: "here".into() };
        let told = |of: &str, schedule: &Schedule| {
            called(&cluster(of), schedule).map(|called| (called.namespace, called.former))
        };
        let team = |former| Some(("team-a".to_owned(), former));
        for (label, included) in [("team-a", "team-a"), ("team-b", "team-a"), ("team-a", "team-b")] {
            assert_eq!(told("east", &schedule("east-team-a", "here", label, included)), team(false));
        }
        let before = schedule("east-team-a", "here", "team-a", "team-a");
        assert_eq!(told("west", &before), team(true), "it was made under the name before");
        let elsewhere = schedule("east-team-a", "there", "team-a", "team-a");
        assert_eq!(told("west", &elsewhere), None, "and by no other cluster of that name");
        let copy = schedule("team-a-monthly", "here", "team-a", "team-a");
        assert_eq!((told("east", &copy), told("west", &copy)), (None, None));
    }
}
