//! One look at Layer 2, for commands: with the rights of whoever runs them, and without being told what the cluster says
//! itself.

use std::sync::Arc;

use agenttier_backup_plan::schedules::{Plan, Why, Wish};
use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use velero::Schedule;

use super::called::{Called, called, called_in};
use super::cluster::{ClusterIdentity, LASTING};
use super::orders::plans;
use super::rules::VeleroRegime;
use super::setting::{Setting, VELERO};
use super::site::{Obstacle, usable};
use super::template::{CLUSTER, CLUSTER_UID, MANAGED_BY, NAMESPACE};
use crate::api::{FIELD_MANAGER, VOLUME_POLICY};
use crate::api_error::is_forbidden;
use crate::observe::{Holding, NAMESPACES, Observed, POLICIES, Survey, VeleroSight};

/// What a file that stands for a cluster calls it, where nobody says.
const SOME_CLUSTER: &str = "this-cluster";

/// What a person says of Velero.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Its namespace.
    pub namespace: Option<String>,
    /// What the cluster is called among those that share a store.
    pub cluster_name: Option<String>,
}

/// What there is of Velero, and which cluster this is.
#[derive(Debug, Clone)]
pub struct Look {
    /// What there is in Velero's namespace; backups only where they were asked for.
    pub sight: VeleroSight,
    /// This cluster; `None` where that cannot be told.
    pub cluster: Option<ClusterIdentity>,
    /// What the policies want of Velero.
    pub regime: VeleroRegime,
    /// Policies and namespaces are seen as they are.
    pub certain: bool,
    /// Policies or namespaces cannot be seen: what is wanted cannot be told.
    pub blind: bool,
    /// The controller works with no Velero.
    turned_off: bool,
}

impl Look {
    /// Looks at Velero, given what was seen of the rest.
    ///
    /// # Errors
    /// When the API server cannot be asked. That there is no Velero, or no right to see it, is no error.
    pub async fn take(client: &Client, said: &Said, survey: &Survey) -> anyhow::Result<Self> {
        let controller = Setting::of(survey.observed.deployments.iter().map(AsRef::as_ref));
        let theirs = controller.as_ref().and_then(|controller| controller.velero_namespace.clone());
        let namespace = said.namespace.clone().or(theirs).unwrap_or_else(|| VELERO.to_owned());
        let (sight, lasting) =
            futures::try_join!(VeleroSight::take(client, &namespace, VOLUME_POLICY), lasting(client))?;
        let name = said.cluster_name.as_deref();
        let schedules = sight.schedules.seen().unwrap_or_default();
        let cluster = ClusterIdentity::as_told(name, controller.as_ref(), lasting.as_ref(), schedules);
        let turned_off = said.namespace.is_none()
            && controller.is_some_and(|controller| controller.velero_namespace.is_none());
        Ok(Self { turned_off, ..Self::of(survey, sight, cluster) })
    }

    /// What files say in place of a cluster; and what had to be made up, where a policy wants something of Velero.
    #[must_use]
    pub fn of_manifests(said: &Said, survey: &Survey) -> (Self, Option<String>) {
        let namespace = said.namespace.as_deref().unwrap_or(VELERO);
        let of_it = |schedule: &&Arc<Schedule>| schedule.namespace().as_deref() == Some(namespace);
        let schedules: Vec<_> = survey.schedules.iter().filter(of_it).cloned().collect();
        let namespaces = || survey.observed.namespaces.iter().map(AsRef::as_ref);
        let lasting = namespaces().find(|namespace: &&Namespace| namespace.name_any() == LASTING);
        let name = said.cluster_name.as_deref();
        let known = ClusterIdentity::as_told(name, None, lasting, &schedules);
        let is_named = name.is_some() || known.is_some();
        let cluster = known.unwrap_or_else(|| {
            let name = name.unwrap_or(SOME_CLUSTER);
            ClusterIdentity { name: name.to_owned(), uid: "the-uid-of-its-namespace-kube-system".to_owned() }
        });
        let look = Self::of(survey, VeleroSight::of_schedules(namespace, schedules), Some(cluster));
        let note = format!(
            "what the cluster is called is not said (--cluster-name): in its Schedules it is {SOME_CLUSTER}"
        );
        let note = (!is_named && !look.regime.policies.is_empty()).then_some(note);
        (look, note)
    }

    fn of(survey: &Survey, sight: VeleroSight, cluster: Option<ClusterIdentity>) -> Self {
        let observed = &survey.observed;
        let policies = observed.policies.iter().map(AsRef::as_ref);
        let regime = VeleroRegime::of(policies, observed.namespaces.iter().map(AsRef::as_ref));
        let blind = survey.hidden.iter().any(|kind| [NAMESPACES, POLICIES].contains(&kind.as_str()));
        let certain = !blind && survey.unreadable_policies.is_empty();
        Self { sight, cluster, regime, certain, blind, turned_off: false }
    }

    /// Leaves out the Schedules of other namespaces.
    pub fn narrow(&mut self, namespace: &str) {
        let Some(schedules) = self.sight.schedules.seen() else { return };
        let its_name = self
            .cluster
            .as_ref()
            .map(|cluster| agenttier_backup_plan::schedules::name(&cluster.name, namespace));
        let is_its = |schedule: &&Arc<Schedule>| {
            let included = schedule.spec.template.included_namespaces.iter().flatten();
            let said = schedule.labels().get(NAMESPACE).or(included.into_iter().next());
            Some(schedule.name_any()) == its_name || said.is_some_and(|said| said == namespace)
        };
        let its: Vec<_> = schedules.iter().filter(is_its).cloned().collect();
        self.sight.schedules = Holding::Seen(its);
    }

    /// The Schedule of ours that backs up a namespace of this cluster; where the cluster was called otherwise before, the one
    /// under its present name, or else the newest.
    ///
    /// A person's copy of it bears the same marks, and is not called after the namespace.
    #[must_use]
    pub fn schedule_of(&self, namespace: &str) -> Option<&Arc<Schedule>> {
        let uid = self.cluster.as_ref().map(|cluster| &cluster.uid);
        let is_marked = |schedule: &&Arc<Schedule>| {
            let says = |key: &str, value: &str| schedule.labels().get(key).is_some_and(|said| said == value);
            let is_here = uid.is_none() || schedule.annotations().get(CLUSTER_UID) == uid;
            says(MANAGED_BY, FIELD_MANAGER) && says(NAMESPACE, namespace) && is_here
        };
        let its = self.sight.schedules.seen()?.iter().filter(is_marked).filter_map(|schedule| {
            let called = self.called(schedule).filter(|called| called.namespace == namespace)?;
            Some((called.former, schedule))
        });
        let newest =
            its.max_by_key(|(former, schedule)| (!former, schedule.creation_timestamp().map(|at| at.0)));
        newest.map(|(_, schedule)| schedule)
    }

    /// What a Schedule is called after. Where it is not known which cluster this is, its label is believed.
    fn called(&self, schedule: &Schedule) -> Option<Called> {
        let Some(cluster) = &self.cluster else {
            let namespace = called_in(schedule.labels().get(CLUSTER)?, schedule)?.to_owned();
            return Some(Called { namespace, former: false });
        };
        called(cluster, schedule)
    }

    /// Whether a policy wants backups by Velero, as far as can be told.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.regime.policies.is_empty()
    }

    /// Whether Schedules of this cluster are there.
    #[must_use]
    pub fn has_schedules(&self) -> bool {
        let of_this = |schedule: &Arc<Schedule>| {
            let uid = schedule.annotations().get(CLUSTER_UID);
            uid.is_some() && uid == self.cluster.as_ref().map(|cluster| &cluster.uid)
        };
        self.sight.schedules.seen().unwrap_or_default().iter().any(of_this)
    }

    /// Sees which Schedules of namespaces that are gone have backups left: what becomes of them depends on that. Of others,
    /// of which there may be very many, no backup is seen.
    ///
    /// # Errors
    /// When they cannot be read; they are taken to have some.
    pub async fn take_backups_of_gone(&mut self, client: &Client, observed: &Observed) -> anyhow::Result<()> {
        let Some(cluster) = self.cluster.as_ref().filter(|_| !self.blind) else { return Ok(()) };
        let plans = plans(cluster, observed, &self.regime, &self.sight, self.certain);
        let is_gone = |plan: &Plan| plan.wish == Wish::Paused(Why::NamespaceGone);
        let gone: Vec<String> = plans.into_iter().filter(is_gone).map(|plan| plan.name).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let taken = self.sight.take_one_backup_of_each(client, &gone).await;
        taken.context("what is left of the backups of namespaces that are gone cannot be told")
    }

    /// Why the controller makes and keeps no Schedules. A right that whoever looks does not have is none of its.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        if self.turned_off {
            return Some(Obstacle::VeleroNotConfigured);
        }
        match usable(Some(&self.sight)) {
            Err(Obstacle::VeleroForbidden(_) | Obstacle::VeleroUnseen(_)) | Ok(()) => None,
            Err(obstacle) => Some(obstacle),
        }
    }

    /// What could not be seen, a sentence each; nothing where nobody misses it.
    #[must_use]
    pub fn caveats(&self) -> Vec<String> {
        let misses = self.is_wanted() || self.has_schedules() || self.blind;
        if !misses || self.sight.absent {
            return Vec::new();
        }
        let hidden: Vec<&str> = self.sight.hidden.iter().map(|(kind, _)| *kind).collect();
        let unseen = (!hidden.is_empty()).then(|| {
            format!(
                "you have no right to read {} in namespace {}: what Velero does is told only in part",
                hidden.join(", "),
                self.sight.namespace
            )
        });
        let unknown = self.cluster.is_none() && self.sight.schedules.seen().is_some();
        let unknown = unknown.then(|| {
            "which cluster this is cannot be told without the right to read the namespace kube-system: backups of other \
             clusters in the same store are not told apart"
                .to_owned()
        });
        unseen.into_iter().chain(unknown).collect()
    }
}

async fn lasting(client: &Client) -> anyhow::Result<Option<Namespace>> {
    match Api::<Namespace>::all(client.clone()).get_opt(LASTING).await {
        Err(error) if is_forbidden(&error) => Ok(None),
        found => found.with_context(|| format!("cannot read namespace {LASTING}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schedule(name: &str, cluster: &str, created: &str) -> Arc<Schedule> {
        let schedule = json!({
            "metadata": {
                "name": name,
                "creationTimestamp": created,
                "labels": { MANAGED_BY: FIELD_MANAGER, CLUSTER: cluster, NAMESPACE: "team-a" },
                "annotations": { CLUSTER_UID: "here" },
            },
            "spec": { "schedule": "@daily", "template": { "includedNamespaces": ["team-a"] } },
        });
        Arc::new(serde_json::from_value(schedule).expect("a Schedule"))
    }

    /// The name of the one that is found among these, in a cluster that is called so.
    fn found(cluster: Option<&str>, schedules: &[&Arc<Schedule>]) -> Option<String> {
        let schedules = schedules.iter().map(|schedule| Arc::clone(schedule)).collect();
        let sight = VeleroSight::of_schedules("velero", schedules);
        let cluster = cluster.map(|name| ClusterIdentity { name: name.into(), uid: "here".into() });
        let look = Look::of(&Survey::default(), sight, cluster);
        look.schedule_of("team-a").map(|schedule| schedule.name_any())
    }

    #[test]
    fn a_copy_of_our_schedule_is_not_ours() {
        let ours = schedule("east-team-a", "east", "2026-01-01T00:00:00Z");
        let copy = schedule("team-a-monthly", "east", "2026-02-01T00:00:00Z");
        for cluster in [Some("east"), None] {
            assert_eq!(found(cluster, &[&copy, &ours]).as_deref(), Some("east-team-a"));
            assert_eq!(found(cluster, &[&copy]), None);
        }
    }

    #[test]
    fn one_from_before_the_cluster_was_renamed_stands_in() {
        let back = schedule("east-team-a", "east", "2026-01-01T00:00:00Z");
        let before = schedule("west-team-a", "west", "2026-02-01T00:00:00Z");
        assert_eq!(found(Some("north"), &[&back, &before]).as_deref(), Some("west-team-a"), "the newest");
        assert_eq!(found(Some("east"), &[&back, &before]).as_deref(), Some("east-team-a"), "its name counts");
    }
}
