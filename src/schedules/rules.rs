//! What a policy wants of Velero, checked.

use std::collections::{BTreeMap, BTreeSet};

use agenttier_backup_plan::schedules::{Rule, Spread};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use serde_json::{Map, Value};
use velero::labels::EXCLUDE_FROM_BACKUP;
use velero::{Cron, GoDuration};

use crate::api::{BackupPolicy, Period};
use crate::observe::{Invalid, followed};

/// The night in which clocks are set back makes a week so much longer.
const SET_BACK: SignedDuration = SignedDuration::from_hours(1);

/// What a policy wants of Velero.
#[derive(Debug, Clone, PartialEq)]
pub struct VeleroRules {
    /// The policy.
    pub policy: String,
    /// When the backups are made.
    pub times: Times,
    /// The name of the time zone that these times are in.
    pub zone: String,
    /// The longest time between two of them, where it can be told.
    pub longest_gap: Option<SignedDuration>,
    /// How long a backup is kept.
    pub ttl: GoDuration,
    /// BackupStorageLocation; `None` takes Velero's default one.
    pub location: Option<String>,
    /// Whether volume data is moved to the location.
    pub move_data: bool,
    /// How long Velero waits for a CSI snapshot.
    pub csi_snapshot_timeout: GoDuration,
    /// Velero's hooks.
    pub hooks: Map<String, Value>,
    /// Further fields of the spec of a Backup.
    pub extra: Map<String, Value>,
}

/// When backups are made.
#[derive(Debug, Clone, PartialEq)]
pub enum Times {
    /// So often, each namespace at times of its own.
    Spread(Spread),
    /// All at once.
    Cron(Cron),
}

/// Reads what a policy wants of Velero, enabled or not.
///
/// # Errors
/// Names the first field that makes no sense.
pub fn velero_rules(policy: &BackupPolicy) -> Result<VeleroRules, Invalid> {
    let spec = &policy.spec.velero;
    let zone = if spec.time_zone.is_empty() { "UTC" } else { &spec.time_zone };
    zoned(zone, "@daily").map_err(|error| Invalid {
        field: "spec.velero.timeZone",
        problem: format!("{error}; such as Europe/Berlin, or UTC"),
    })?;
    let ttl = length("spec.velero.ttl", &spec.ttl)?;
    let every = length("spec.velero.every", &spec.every)?;
    let (times, longest_gap) = if spec.cron.is_empty() {
        if ttl < every {
            let problem =
                format!("{} is shorter than {}, the time between two backups", spec.ttl, spec.every);
            return Err(Invalid { field: "spec.velero.ttl", problem });
        }
        let spread = Spread::every(every).map_err(|error| Invalid {
            field: "spec.velero.every",
            problem: format!("{} {error}", spec.every),
        })?;
        (Times::Spread(spread), Some(every))
    } else {
        let times = cron(&spec.cron)?;
        let gap = zoned(zone, &spec.cron).ok().and_then(|cron| largest_gap(&cron));
        if gap.is_some_and(|gap| ttl.saturating_add(SET_BACK) < gap) {
            let problem = format!(
                "{} is shorter than {:#}, the longest time between two backups: there would be times without one",
                spec.ttl,
                gap.unwrap_or_default()
            );
            return Err(Invalid { field: "spec.velero.ttl", problem });
        }
        (Times::Cron(times), gap)
    };
    Ok(VeleroRules {
        policy: policy.name_any(),
        times,
        zone: zone.to_owned(),
        longest_gap,
        ttl: go_duration("spec.velero.ttl", ttl)?,
        location: Some(spec.storage_location.clone()).filter(|location| !location.is_empty()),
        move_data: spec.move_data,
        csi_snapshot_timeout: go_duration(
            "spec.velero.csiSnapshotTimeout",
            length("spec.velero.csiSnapshotTimeout", &spec.csi_snapshot_timeout)?,
        )?,
        hooks: spec.hooks.clone(),
        extra: spec.extra_template.clone(),
    })
}

/// As it is rendered: names of zones are no different to us in other letters, and unknown to Velero.
fn zoned(zone: &str, times: &str) -> Result<Cron, velero::CronError> {
    format!("CRON_TZ={zone} {times}").parse()
}

/// The longest time between two backups in nine years, which have a leap day in them, or among a thousand of them.
fn largest_gap(cron: &Cron) -> Option<SignedDuration> {
    const LOOKED_AT: usize = 1000;
    const YEARS: SignedDuration = SignedDuration::from_hours(9 * 366 * 24);
    let next = |after: &Timestamp| cron.next(*after, &TimeZone::UTC);
    let due: Vec<Timestamp> = std::iter::successors(next(&Timestamp::UNIX_EPOCH), next)
        .take(LOOKED_AT)
        .take_while(|due| due.duration_since(Timestamp::UNIX_EPOCH) <= YEARS)
        .collect();
    due.windows(2).map(|pair| pair[1].duration_since(pair[0])).max()
}

fn cron(text: &str) -> Result<Cron, Invalid> {
    let invalid = |problem| Invalid { field: "spec.velero.cron", problem };
    if text.contains("TZ=") {
        return Err(invalid("the time zone belongs into timeZone".to_owned()));
    }
    text.parse().map_err(|error: velero::CronError| invalid(format!("{text:?}: {error}")))
}

fn length(field: &'static str, period: &Period) -> Result<SignedDuration, Invalid> {
    period.duration().map_err(|error| Invalid { field, problem: error.to_string() })
}

fn go_duration(field: &'static str, duration: SignedDuration) -> Result<GoDuration, Invalid> {
    duration.try_into().map_err(|_| Invalid { field, problem: "longer than 292 years".to_owned() })
}

/// What the policies together want of Velero.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VeleroRegime {
    /// What every policy wants of Velero that wants something, by name; or what is wrong with it.
    pub policies: BTreeMap<String, Result<VeleroRules, Invalid>>,
    /// Those of them that are suspended: no backup is made.
    pub suspended: BTreeSet<String>,
    /// What every namespace follows.
    pub namespaces: BTreeMap<String, Rule>,
}

impl VeleroRules {
    /// Whether a backup is gone before the next one but one is there: where the next one fails, or takes long, there is none.
    #[must_use]
    pub fn is_kept_briefly(&self) -> bool {
        let ttl = SignedDuration::from(self.ttl);
        self.longest_gap.is_some_and(|gap| ttl.saturating_add(SET_BACK * 2) < gap.saturating_mul(2))
    }
}

impl VeleroRegime {
    /// That of these policies over these namespaces.
    #[must_use]
    pub fn of<'a>(
        policies: impl IntoIterator<Item = &'a BackupPolicy> + Clone,
        namespaces: impl IntoIterator<Item = &'a Namespace> + Clone,
    ) -> Self {
        let wanting = || policies.clone().into_iter().filter(|policy| policy.spec.velero.enabled);
        let policies_wanting: BTreeMap<_, _> =
            wanting().map(|policy| (policy.name_any(), velero_rules(policy))).collect();
        let suspended = wanting().filter(|policy| policy.spec.suspend).map(ResourceExt::name_any).collect();
        let is_excluded = |namespace: &&Namespace| {
            namespace.labels().get(EXCLUDE_FROM_BACKUP).is_some_and(|said| said == "true")
        };
        let excluded: BTreeSet<String> =
            namespaces.clone().into_iter().filter(is_excluded).map(ResourceExt::name_any).collect();
        let rule = |namespace: &str, policy: Option<&BackupPolicy>| {
            let Some(policy) = policy else { return Rule::Nobody };
            let name = policy.name_any();
            match policies_wanting.get(&name) {
                None => Rule::Off { policy: name },
                Some(_) if policy.spec.suspend => Rule::Suspended { policy: name },
                Some(_) if excluded.contains(namespace) => Rule::Excluded { policy: name },
                Some(Err(_)) => Rule::Invalid { policy: name },
                Some(Ok(_)) => Rule::On { policy: name },
            }
        };
        let followed = followed(policies, namespaces).into_iter();
        Self {
            suspended,
            namespaces: followed
                .map(|(namespace, policy)| {
                    let rule = rule(&namespace, policy);
                    (namespace, rule)
                })
                .collect(),
            policies: policies_wanting,
        }
    }

    /// What is wrong with policies, by name.
    #[must_use]
    pub fn invalid(&self) -> BTreeMap<String, Invalid> {
        let invalid = |(policy, rules): (&String, &Result<_, Invalid>)| {
            Some((policy.clone(), rules.as_ref().err()?.clone()))
        };
        self.policies.iter().filter_map(invalid).collect()
    }

    /// The policies that want backups by Velero.
    #[must_use]
    pub fn on(&self) -> BTreeSet<String> {
        self.policies.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{BackupPolicySpec, VeleroSpec};

    fn policy(change: impl FnOnce(&mut VeleroSpec)) -> BackupPolicy {
        let mut spec = BackupPolicySpec::default();
        spec.velero.enabled = true;
        change(&mut spec.velero);
        BackupPolicy::new("gold", spec)
    }

    #[test]
    fn days_become_the_hours_that_velero_reads() {
        let rules = velero_rules(&policy(|spec| spec.ttl = "14d".into())).expect("valid");
        assert_eq!(rules.ttl.to_string(), "336h0m0s");
        assert_eq!(rules.csi_snapshot_timeout.to_string(), "10m0s");
        assert_eq!((rules.zone.as_str(), rules.location), ("UTC", None));
    }

    #[test]
    fn a_backup_that_is_gone_before_the_next_but_one_is_worth_a_word() {
        let briefly = |every: &str, cron: &str, ttl: &str| {
            let policy =
                policy(|spec| (spec.every, spec.cron, spec.ttl) = (every.into(), cron.into(), ttl.into()));
            velero_rules(&policy).expect("valid").is_kept_briefly()
        };
        assert!(briefly("1d", "", "1d") && briefly("1d", "", "45h"));
        assert!(!briefly("1d", "", "48h") && !briefly("1d", "", "30d"));
        assert!(briefly("1d", "0 3 * * 1-5", "5d"), "three days over the weekend");
        assert!(!briefly("1d", "0 3 * * 1-5", "6d"));
    }

    #[test]
    fn a_label_of_the_namespace_has_velero_leave_it_out() {
        let policy = policy(|_| {});
        let rule = |label: &str, change: fn(&mut BackupPolicy)| {
            let mut policy = policy.clone();
            change(&mut policy);
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some("team-a".into());
            namespace.metadata.labels = Some([(label.to_owned(), "true".to_owned())].into());
            VeleroRegime::of([&policy], [&namespace]).namespaces.remove("team-a").expect("its rule")
        };
        let gold = || "gold".to_owned();
        assert_eq!(rule(EXCLUDE_FROM_BACKUP, |_| {}), Rule::Excluded { policy: gold() });
        assert_eq!(rule("another", |_| {}), Rule::On { policy: gold() });
        let suspended = rule(EXCLUDE_FROM_BACKUP, |policy| policy.spec.suspend = true);
        assert_eq!(suspended, Rule::Suspended { policy: gold() });
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (field, change) in [
            ("spec.velero.every", (|spec| spec.every = "5h".into()) as fn(&mut VeleroSpec)),
            ("spec.velero.every", |spec| spec.every = "soon".into()),
            ("spec.velero.ttl", |spec| spec.ttl = "1h".into()),
            ("spec.velero.timeZone", |spec| spec.time_zone = "Middle/Earth".into()),
            ("spec.velero.timeZone", |spec| spec.time_zone = "europe/berlin".into()),
            ("spec.velero.ttl", |spec| {
                (spec.cron, spec.ttl) = ("0 2 * * 0".into(), "6d".into());
            }),
            ("spec.velero.ttl", |spec| (spec.cron, spec.ttl) = ("0 2 1 * *".into(), "30d".into())),
            ("spec.velero.cron", |spec| spec.cron = "1 2 3".into()),
            ("spec.velero.cron", |spec| spec.cron = "0 0 13 * 5".into()),
            ("spec.velero.cron", |spec| spec.cron = "CRON_TZ=UTC 0 0 * * *".into()),
            ("spec.velero.csiSnapshotTimeout", |spec| spec.csi_snapshot_timeout = "x".into()),
        ] {
            assert_eq!(velero_rules(&policy(change)).expect_err(field).field, field);
        }
        for (cron, ttl) in [
            ("0 2 * * 1-5", "3d"),
            ("0 2 1 * *", "31d"),
            ("0 2 1 1 *", "366d"),
            ("@every 2h", "2h"),
            ("0 2 * * 0", "7d"),
        ] {
            let said = policy(|spec| {
                (spec.cron, spec.ttl, spec.time_zone) = (cron.into(), ttl.into(), "Europe/Berlin".into());
            });
            assert!(velero_rules(&said).is_ok(), "{cron}");
        }
    }

    #[test]
    fn a_namespace_follows_one_policy_for_both_layers() {
        let off = BackupPolicy::new("off", BackupPolicySpec { priority: 1, ..BackupPolicySpec::default() });
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some("team-a".into());
        let rule =
            |policies: &[BackupPolicy]| VeleroRegime::of(policies, [&namespace]).namespaces["team-a"].clone();
        let gold = || "gold".to_owned();
        assert_eq!(rule(&[]), Rule::Nobody);
        assert_eq!(rule(&[policy(|_| {})]), Rule::On { policy: gold() });
        assert_eq!(
            rule(&[policy(|_| {}), off]),
            Rule::Off { policy: "off".into() },
            "the higher one wants none"
        );
        assert_eq!(rule(&[policy(|spec| spec.cron = "x".into())]), Rule::Invalid { policy: gold() });
        let mut suspended = policy(|_| {});
        suspended.spec.suspend = true;
        assert_eq!(rule(&[suspended]), Rule::Suspended { policy: gold() });
    }
}
