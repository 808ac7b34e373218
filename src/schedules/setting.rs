//! Where Velero is and what this cluster is called, for a person who does not say so: as the controller has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Namespace};
use kube::ResourceExt;
use velero::Schedule;

use super::cluster::ClusterIdentity;
use super::template::{CLUSTER, CLUSTER_UID, MANAGED_BY};
use crate::api::FIELD_MANAGER;

/// The namespace that Velero's own installers take.
pub const VELERO: &str = "velero";
/// The label by which our chart's Deployment is known, and its value.
const NAME: (&str, &str) = ("app.kubernetes.io/name", "agenttier-backup");

/// What the controller works with, read off its Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// Velero's namespace; `None` where it works with no Velero.
    pub velero_namespace: Option<String>,
    /// What it calls the cluster; `None` where it makes a name up.
    pub cluster_name: Option<String>,
}

impl Setting {
    /// That of the controller, if its Deployment is among these. Where there are several, one that works with a Velero
    /// counts.
    #[must_use]
    pub fn of<'a>(deployments: impl IntoIterator<Item = &'a Deployment>) -> Option<Self> {
        let ours = deployments
            .into_iter()
            .filter(|deployment| deployment.labels().get(NAME.0).is_some_and(|name| name == NAME.1));
        let settings = ours.flat_map(|deployment| {
            let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
            spec.into_iter().flat_map(|spec| &spec.containers).map(setting)
        });
        settings.max_by_key(|setting| setting.velero_namespace.is_some())
    }
}

fn setting(container: &Container) -> Setting {
    let said = |flag: &str, variable: &str| {
        let mut words = container.args.iter().flatten();
        let flagged = words.find_map(|word| match word.strip_prefix(flag)? {
            "" => Some(None),
            rest => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
        });
        // A flag without `=` has its value in the next word.
        let flagged = flagged.and_then(|value| value.or_else(|| words.next().cloned()));
        let env = || container.env.iter().flatten().find(|env| env.name == variable)?.value.clone();
        flagged.or_else(env).filter(|value| !value.is_empty())
    };
    Setting {
        velero_namespace: said("--velero-namespace", "VELERO_NAMESPACE"),
        cluster_name: said("--cluster-name", "CLUSTER_NAME"),
    }
}

impl ClusterIdentity {
    /// Finds this cluster: by the name that a person has given, else by the one that the controller goes by, else by the
    /// one that the newest Schedule of ours in it has.
    ///
    /// Whoever may not read the namespace kube-system has it from the Schedules, where all of ours are of one cluster.
    #[must_use]
    pub fn as_told(
        chosen: Option<&str>,
        controller: Option<&Setting>,
        lasting: Option<&Namespace>,
        schedules: &[Arc<Schedule>],
    ) -> Option<Self> {
        let ours = || {
            let all = schedules.iter();
            let ours = all.filter(|one| one.labels().get(MANAGED_BY).is_some_and(|by| by == FIELD_MANAGER));
            ours.filter_map(|one| {
                Some((
                    one.annotations().get(CLUSTER_UID)?,
                    one.labels().get(CLUSTER)?,
                    one.creation_timestamp(),
                ))
            })
        };
        let by_schedules = || {
            let uids: BTreeSet<&String> = ours()
                .filter(|(_, name, _)| chosen.is_none_or(|chosen| chosen == *name))
                .map(|(uid, ..)| uid)
                .collect();
            (uids.len() == 1).then(|| uids.first().map(|uid| (*uid).clone())).flatten()
        };
        let uid = lasting.and_then(Namespace::uid).or_else(by_schedules)?;
        let of_this = ours().filter(|(its, ..)| **its == uid);
        let newest = of_this.max_by_key(|(_, _, created)| created.as_ref().map(|at| at.0));
        let named = chosen.map(str::to_owned).or_else(|| match controller {
            Some(Setting { velero_namespace: Some(_), cluster_name }) => cluster_name.clone(),
            _ => newest.map(|(_, name, _)| name.clone()),
        });
        Some(Self::named(named.as_deref(), uid))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(name: &str, container: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "labels": { "app.kubernetes.io/name": name } },
            "spec": { "selector": {}, "template": { "spec": { "containers": [container] } } },
        }))
        .expect("a Deployment")
    }

    #[test]
    fn the_controllers_own_words_are_read() {
        let by_env = json!({ "name": "controller", "args": ["controller"], "env": [
            { "name": "VELERO_NAMESPACE", "value": "backups" }, { "name": "CLUSTER_NAME", "value": "east" },
        ]});
        let by_args =
            json!({ "name": "c", "args": ["controller", "--velero-namespace", "v", "--cluster-name=west"] });
        let none = json!({ "name": "c", "args": ["controller"] });
        let read = |of: &[Deployment]| Setting::of(of);
        let setting = |namespace: Option<&str>, name: Option<&str>| Setting {
            velero_namespace: namespace.map(str::to_owned),
            cluster_name: name.map(str::to_owned),
        };
        assert_eq!(
            read(&[deployment("agenttier-backup", &by_env)]),
            Some(setting(Some("backups"), Some("east")))
        );
        assert_eq!(read(&[deployment("agenttier-backup", &by_args)]), Some(setting(Some("v"), Some("west"))));
        let both = [deployment("agenttier-backup", &by_args), deployment("agenttier-backup", &none)];
        assert_eq!(read(&both), Some(setting(Some("v"), Some("west"))), "the one that works with Velero");
        assert_eq!(read(&both[1..]), Some(Setting::default()));
        assert_eq!(read(&[deployment("agenttier", &by_env)]), None);
    }

    fn schedule(name: &str, cluster: &str, uid: &str, day: u32) -> Arc<Schedule> {
        let schedule = json!({
            "metadata": {
                "name": name,
                "labels": { "app.kubernetes.io/managed-by": "agenttier-backup", "backup.agenttier.io/cluster": cluster },
                "annotations": { "backup.agenttier.io/cluster-uid": uid },
                "creationTimestamp": format!("2026-11-{day:02}T00:00:00Z"),
            },
            "spec": { "schedule": "@daily", "template": {} },
        });
        Arc::new(serde_json::from_value(schedule).expect("a Schedule"))
    }

    #[test]
    fn the_cluster_is_called_as_the_controller_calls_it() {
        let mut lasting = Namespace::default();
        lasting.metadata.uid = Some("1234abcd-5678".into());
        let here = Some(&lasting);
        let schedules = [
            schedule("a", "old", "1234abcd-5678", 1),
            schedule("b", "east", "1234abcd-5678", 2),
            schedule("c", "west", "9999", 3),
        ];
        let name = |chosen, controller, lasting, schedules: &[Arc<Schedule>]| {
            ClusterIdentity::as_told(chosen, controller, lasting, schedules).map(|cluster| cluster.name)
        };
        let told = Setting { velero_namespace: Some("velero".into()), cluster_name: Some("north".into()) };
        let untold = Setting { cluster_name: None, ..told.clone() };
        let off = Setting::default();
        let is = |name: &str| Some(name.to_owned());
        assert_eq!(name(Some("mine"), Some(&told), here, &schedules), is("mine"));
        assert_eq!(name(None, Some(&told), here, &schedules), is("north"));
        assert_eq!(name(None, Some(&untold), here, &schedules), is("k-1234abcd"), "it makes that name up");
        assert_eq!(name(None, Some(&off), here, &schedules), is("east"), "the newest of this cluster");
        assert_eq!(name(None, None, here, &[]), is("k-1234abcd"));
        // Without a look at kube-system.
        assert_eq!(name(None, None, None, &schedules), None, "they are of two clusters");
        assert_eq!(name(None, None, None, &schedules[..2]), is("east"));
        assert_eq!(ClusterIdentity::as_told(Some("west"), None, None, &schedules).map(|c| c.uid), is("9999"));
    }
}
