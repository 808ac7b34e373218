//! What becomes of each Schedule, for people and scripts.

use std::collections::BTreeMap;

use agenttier_backup_plan::schedules::{Plan, Wish};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;
use velero::Schedule;

use super::drift::manifest;
use super::fitting::Fitting;
use super::look::Look;
use super::orders::{Order, Orders, SERVERS, orders};
use super::site::location_trouble;
use super::why::{at_length, name_of};
use crate::observe::Observed;

/// So many lines that are the same stand around those that differ.
const AROUND: usize = 3;

/// What becomes of Layer 2. As JSON, names are added, not changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// What this cluster is called.
    pub cluster: String,
    /// Velero's namespace.
    pub namespace: String,
    /// Why nothing of it is done for the moment.
    pub obstacle: Option<Told>,
    /// What becomes of each Schedule, by name.
    pub schedules: Vec<Prospect>,
    /// What becomes of the ConfigMap that all of them name, where it has to be made or changed.
    pub volume_policy: Option<Prospect>,
    /// By policy, what is the matter: with the location that its backups go to, with its extraTemplate, or with all of it.
    pub policies: BTreeMap<String, Vec<Told>>,
}

/// Something to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its stable name.
    pub reason: String,
    /// The same at length.
    pub message: String,
}

/// What becomes of an object in Velero's namespace.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prospect {
    /// Its name.
    pub name: String,
    /// The namespace that it backs up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backs_up: Option<String>,
    /// The policy that it is rendered under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What is done.
    pub step: Step,
    /// Why, where that is not simply what its policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Told>,
    /// The object as it is to be; none where it is removed or left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Value>,
    /// What changes, as a unified diff from the cluster's to this; empty where nothing does.
    pub diff: String,
}

/// What is done about an object. Names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Step {
    /// It is made.
    Make,
    /// It is as it is to be.
    Keep,
    /// It is made again what it is to be.
    Change,
    /// It is changed so that no backups are made.
    Pause,
    /// It is deleted.
    Remove,
    /// Nothing.
    LeaveAlone,
}

impl Outlook {
    /// What becomes of everything that was seen; `None` where it cannot be told, since the Schedules, or which cluster this
    /// is, or what is wanted, could not be seen. It is the controller's own reckoning.
    #[must_use]
    pub fn of(look: &Look, observed: &Observed) -> Option<Self> {
        let cluster = look.cluster.as_ref()?;
        let hidden = look.sight.schedules.seen().is_none() && !look.sight.absent;
        if look.blind || hidden {
            return None;
        }
        let Orders { plans, orders, kept, conflicts, unrenderable } =
            orders(cluster, observed, &look.regime, &look.sight, look.certain, &mut Fitting::default());
        let mut done =
            Done { keep: kept.into_iter().map(|kept| (kept.name_any(), kept)).collect(), ..Done::default() };
        for order in orders {
            done.take(order);
        }
        let volume_policy = done.map.take().filter(|_| look.sight.maps.seen().is_some());
        let schedules = plans.into_iter().map(|plan| done.prospect(plan, &unrenderable)).collect();
        let mut policies: BTreeMap<String, Vec<Told>> = BTreeMap::new();
        for (policy, rules) in &look.regime.policies {
            let told = match rules {
                Err(invalid) => Some(("PolicyInvalid", invalid.to_string())),
                Ok(rules) => location_trouble(&look.sight, rules.location.as_deref())
                    .map(|trouble| (trouble.reason(), trouble.message())),
            };
            let conflict = conflicts.get(policy).map(|fields| {
                let message =
                    format!("these fields of extraTemplate have no part in it: {}", fields.join(", "));
                ("ExtraTemplateConflict", message)
            });
            let told: Vec<Told> =
                told.into_iter().chain(conflict).map(|(reason, message)| told_as(reason, message)).collect();
            if !told.is_empty() {
                policies.insert(policy.clone(), told);
            }
        }
        Some(Self {
            cluster: cluster.name.clone(),
            namespace: look.sight.namespace.clone(),
            obstacle: look.obstacle().map(|obstacle| told_as(obstacle.reason(), obstacle.message())),
            schedules,
            volume_policy,
            policies,
        })
    }
}

fn told_as(reason: &str, message: String) -> Told {
    Told { reason: reason.to_owned(), message }
}

/// What the orders do, by name of the Schedule.
#[derive(Default)]
struct Done {
    keep: BTreeMap<String, Schedule>,
    write: BTreeMap<String, (Option<std::sync::Arc<Schedule>>, Schedule)>,
    remove: BTreeMap<String, std::sync::Arc<Schedule>>,
    map: Option<Prospect>,
}

impl Done {
    fn take(&mut self, order: Order) {
        match order {
            Order::KeepMap { live, wanted } => self.map = Some(of_map(live.as_deref(), &wanted)),
            Order::Keep { live, wanted } => {
                self.write.insert(wanted.name_any(), (live, wanted));
            }
            Order::Remove(live) => {
                self.remove.insert(live.name_any(), live);
            }
        }
    }

    fn prospect(&mut self, plan: Plan, unrenderable: &BTreeMap<String, String>) -> Prospect {
        let Plan { name, namespace, policy, wish } = plan;
        let why = match wish {
            Wish::Enabled => None,
            Wish::Paused(why) | Wish::Removed(why) | Wish::Untouched(why) => {
                Some(told_as(name_of(why), at_length(why, wish, &name)))
            }
        };
        let prospect = |step, why, manifest, diff| Prospect {
            name: name.clone(),
            backs_up: Some(namespace.clone()),
            policy: policy.clone(),
            step,
            why,
            manifest,
            diff,
        };
        if let Some(live) = self.remove.remove(&name) {
            let live = text(&manifest(live.as_ref(), live.as_ref(), &SERVERS));
            return prospect(Step::Remove, why, None, difference(&live, ""));
        }
        if let Some((live, wanted)) = self.write.remove(&name) {
            let step = match &live {
                None => Step::Make,
                Some(live) if wanted.spec.paused == Some(true) && live.spec.paused != Some(true) => {
                    Step::Pause
                }
                Some(_) => Step::Change,
            };
            let is = live.map(|live| text(&manifest(live.as_ref(), &wanted, &SERVERS))).unwrap_or_default();
            let wanted = manifest(&wanted, &wanted, &SERVERS);
            let diff = difference(&is, &text(&wanted));
            return prospect(step, why, Some(wanted), diff);
        }
        if let Some(kept) = self.keep.remove(&name) {
            return prospect(Step::Keep, why, Some(manifest(&kept, &kept, &SERVERS)), String::new());
        }
        let error = policy.as_ref().and_then(|policy| unrenderable.get(policy));
        let why = error.map(|error| told_as("Unrenderable", error.clone())).or(why);
        prospect(Step::LeaveAlone, why, None, String::new())
    }
}

fn of_map(live: Option<&ConfigMap>, wanted: &ConfigMap) -> Prospect {
    let is = live.map(|live| text(&manifest(live, wanted, &[]))).unwrap_or_default();
    let step = if live.is_some() { Step::Change } else { Step::Make };
    let name = wanted.meta().name.clone().unwrap_or_default();
    let wanted = manifest(wanted, wanted, &[]);
    let diff = difference(&is, &text(&wanted));
    Prospect { name, backs_up: None, policy: None, step, why: None, manifest: Some(wanted), diff }
}

fn text(manifest: &Value) -> String {
    serde_saphyr::to_string(manifest).unwrap_or_else(|error| format!("{error}\n"))
}

/// What changes from one text to another, as `diff -u` has it.
fn difference(from: &str, to: &str) -> String {
    let diff = TextDiff::from_lines(from, to);
    diff.unified_diff().context_radius(AROUND).header("cluster", "plan").to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Namespace;
    use serde_json::json;

    use super::*;
    use crate::api::{BackupPolicy, BackupPolicySpec};
    use crate::observe::Survey;
    use crate::schedules::{ClusterIdentity, Said, render};

    fn survey(change: impl FnOnce(&mut BackupPolicySpec)) -> Survey {
        let mut spec = BackupPolicySpec::default();
        spec.velero.enabled = true;
        change(&mut spec);
        let mut survey = Survey::default();
        survey.observed.policies = vec![Arc::new(BackupPolicy::new("gold", spec))];
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some("team-a".into());
        survey.observed.namespaces = vec![Arc::new(namespace)];
        let sandbox = json!({ "metadata": { "namespace": "team-a", "name": "s1" }, "spec": {} });
        survey.observed.sandboxes = vec![Arc::new(serde_json::from_value(sandbox).expect("a Sandbox"))];
        survey
    }

    fn outlook(survey: &Survey) -> Outlook {
        let said = Said { namespace: None, cluster_name: Some("east".into()) };
        Outlook::of(&Look::of_manifests(&said, survey).0, &survey.observed).expect("all is seen")
    }

    /// The Schedule that is rendered, as somebody may have changed it.
    fn live(survey: &Survey, change: impl FnOnce(&mut Value)) -> Arc<Schedule> {
        let said = Said { namespace: None, cluster_name: Some("east".into()) };
        let look = Look::of_manifests(&said, survey).0;
        let rules = look.regime.policies["gold"].as_ref().expect("valid");
        let cluster: ClusterIdentity = look.cluster.clone().expect("it is named");
        let rendered =
            render(&cluster, "velero", "team-a", rules, false).expect("it can be rendered").schedule;
        let mut schedule = serde_json::to_value(rendered).expect("a Schedule");
        schedule["metadata"]["creationTimestamp"] = json!("2026-11-01T00:00:00Z");
        schedule["metadata"]["labels"]["theirs"] = json!("too");
        schedule["spec"]["skipImmediately"] = json!(false);
        schedule["status"] = json!({ "phase": "Enabled" });
        change(&mut schedule);
        Arc::new(serde_json::from_value(schedule).expect("a Schedule"))
    }

    #[test]
    fn what_is_not_there_is_made_and_shown_whole() {
        let outlook = outlook(&survey(|_| {}));
        let [prospect] = &outlook.schedules[..] else { panic!("{outlook:#?}") };
        assert_eq!((prospect.step, prospect.name.as_str()), (Step::Make, "east-team-a"));
        let lines: Vec<&str> = prospect.diff.lines().collect();
        assert_eq!(lines[..2], ["--- cluster", "+++ plan"]);
        assert!(lines[3..].iter().all(|line| line.starts_with('+')), "{}", prospect.diff);
        let manifest = prospect.manifest.as_ref().expect("it is to be");
        assert_eq!((&manifest["kind"], &manifest["spec"]["paused"]), (&json!("Schedule"), &json!(false)));
        assert!(manifest.get("status").is_none());
        assert_eq!(outlook.volume_policy.expect("the ConfigMap too").step, Step::Make);
    }

    #[test]
    fn what_is_as_it_should_be_is_kept() {
        let mut survey = survey(|_| {});
        survey.schedules = vec![live(&survey, |_| {})];
        let outlook = outlook(&survey);
        assert_eq!((outlook.schedules[0].step, outlook.schedules[0].diff.as_str()), (Step::Keep, ""));
    }

    #[test]
    fn an_edit_shows_as_the_lines_that_are_put_back() {
        let mut survey = survey(|_| {});
        survey.schedules = vec![live(&survey, |live| live["spec"]["template"]["ttl"] = json!("1h"))];
        let prospect = outlook(&survey).schedules.remove(0);
        assert_eq!(prospect.step, Step::Change);
        let changed =
            |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("++") && !line.starts_with("--");
        let changed: Vec<&str> = prospect.diff.lines().filter(changed).collect();
        assert_eq!(changed, ["-    ttl: 1h0m0s", "+    ttl: 720h0m0s"], "{}", prospect.diff);
    }

    #[test]
    fn a_policy_that_is_turned_off_suspended_or_wrong_says_so() {
        let step = |change: fn(&mut BackupPolicySpec)| {
            let mut before = survey(|_| {});
            let schedule = live(&before, |_| {});
            before = survey(change);
            before.schedules = vec![schedule];
            let outlook = outlook(&before);
            let prospect = outlook.schedules[0].clone();
            (prospect.step, prospect.why.expect("a reason").reason, outlook.policies)
        };
        let (off, reason, _) = step(|spec| spec.velero.enabled = false);
        assert_eq!((off, reason.as_str()), (Step::Remove, "PolicyOff"));
        let (suspended, reason, _) = step(|spec| spec.suspend = true);
        assert_eq!((suspended, reason.as_str()), (Step::Pause, "PolicySuspended"));
        let (wrong, reason, told) = step(|spec| spec.velero.cron = "x".into());
        assert_eq!((wrong, reason.as_str()), (Step::LeaveAlone, "PolicyInvalid"));
        assert!(told["gold"][0].message.contains("spec.velero.cron"), "{told:?}");
    }

    #[test]
    fn somebody_elses_is_left_alone() {
        let mut survey = survey(|_| {});
        survey.schedules = vec![live(&survey, |live| live["metadata"]["labels"] = json!({}))];
        let prospect = outlook(&survey).schedules.remove(0);
        assert_eq!(prospect.step, Step::LeaveAlone);
        let why = prospect.why.expect("a reason");
        assert_eq!(why.reason, "ScheduleTaken");
        assert!(why.message.contains("not ours"), "{}", why.message);
    }
}
