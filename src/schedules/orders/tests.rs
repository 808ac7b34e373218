use serde_json::{Value, json};

use super::*;
use crate::api::{BackupPolicy, BackupPolicySpec};
use crate::observe::Holding;
use crate::schedules::template::NAMESPACE;

const TEAM: &str = "team-a";

fn cluster(name: &str) -> ClusterIdentity {
    ClusterIdentity { name: name.into(), uid: "1234abcd-0000".into() }
}

/// The policy gold, with a change to it.
fn gold(change: impl FnOnce(&mut BackupPolicySpec)) -> BackupPolicy {
    let mut spec = BackupPolicySpec::default();
    spec.velero.enabled = true;
    change(&mut spec);
    BackupPolicy::new("gold", spec)
}

fn invalid(spec: &mut BackupPolicySpec) {
    spec.velero.cron = "at noon".into();
}

/// The Schedule of the namespace as it was made by us under that policy, and as somebody has changed it since.
fn made(change: impl FnOnce(&mut Value)) -> Schedule {
    let regime = VeleroRegime::of([&gold(|_| {})], []);
    let rules = regime.policies["gold"].as_ref().expect("valid");
    let made = render(&cluster("east"), "velero", TEAM, rules, false).expect("renders").schedule;
    let mut made = serde_json::to_value(made).expect("JSON");
    made["metadata"]["uid"] = json!("1");
    made["metadata"]["managedFields"] = json!([{ "manager": FIELD_MANAGER, "operation": "Apply" }]);
    change(&mut made);
    serde_json::from_value(made).expect("a Schedule")
}

/// Everything that goes into orders.
struct Case {
    policy: BackupPolicy,
    /// Whether the namespace is there.
    there: bool,
    schedule: Option<Schedule>,
    map: Option<ConfigMap>,
    cluster: &'static str,
}

impl Case {
    /// All is as it is to be.
    fn quiet() -> Self {
        let map = volume_policy_map("velero");
        Self {
            policy: gold(|_| {}),
            there: true,
            schedule: Some(made(|_| {})),
            map: Some(map),
            cluster: "east",
        }
    }

    fn orders(&self) -> Orders {
        self.orders_knowing(&mut Fitting::default())
    }

    fn orders_knowing(&self, fitting: &mut Fitting) -> Orders {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(TEAM.into());
        let observed = Observed {
            policies: vec![Arc::new(self.policy.clone())],
            namespaces: self.there.then(|| Arc::new(namespace)).into_iter().collect(),
            ..Observed::default()
        };
        let regime = VeleroRegime::of([&self.policy], observed.namespaces.iter().map(AsRef::as_ref));
        let sight = VeleroSight {
            namespace: "velero".into(),
            schedules: Holding::Seen(self.schedule.iter().cloned().map(Arc::new).collect()),
            backups: Holding::default(),
            locations: Holding::default(),
            servers: Holding::default(),
            maps: Holding::Seen(self.map.iter().cloned().map(Arc::new).collect()),
            absent: false,
            hidden: vec![],
        };
        orders(&cluster(self.cluster), &observed, &regime, &sight, true, fitting)
    }

    /// The one Schedule that is written, as it is to be.
    fn written(&self) -> Schedule {
        let mut orders = self.orders().orders;
        match (orders.pop(), orders.pop()) {
            (Some(Order::Keep { wanted, .. }), None) => wanted,
            (last, before) => panic!("{before:?}, {last:?}"),
        }
    }
}

fn is_nothing(orders: &Orders) -> bool {
    orders.orders.is_empty()
}

#[test]
fn what_is_as_it_is_to_be_is_not_written() {
    assert!(is_nothing(&Case::quiet().orders()));
}

/// Nobody can render it, and its backups would fail day after day.
#[test]
fn of_a_namespace_that_is_gone_it_is_paused_also_while_its_policy_makes_no_sense() {
    let case = Case { policy: gold(invalid), there: false, ..Case::quiet() };
    let paused = case.written();
    assert_eq!(paused.spec, ScheduleSpec { paused: Some(true), ..made(|_| {}).spec }, "and else as it was");
    let paused = made(|schedule| schedule["spec"]["paused"] = json!(true));
    assert!(is_nothing(&Case { schedule: Some(paused), ..case }.orders()));
}

#[test]
fn a_policy_that_is_suspended_pauses_it_also_when_it_makes_no_sense() {
    let policy = gold(|spec| {
        invalid(spec);
        spec.suspend = true;
    });
    assert_eq!(Case { policy, ..Case::quiet() }.written().spec.paused, Some(true));
    let schedule = Some(made(|_| {}));
    let case = Case { policy: gold(invalid), schedule, ..Case::quiet() };
    assert!(is_nothing(&case.orders()), "by itself that changes nothing");
}

#[test]
fn the_namespace_that_its_name_tells_counts_and_not_a_label_that_somebody_edited() {
    let edited = made(|schedule| schedule["metadata"]["labels"][NAMESPACE] = json!("team-b"));
    let paused = Case { there: false, schedule: Some(edited), ..Case::quiet() }.written();
    assert_eq!((paused.name_any().as_str(), paused.spec.paused), ("east-team-a", Some(true)));
    assert_eq!(paused.labels()[NAMESPACE], TEAM);
}

#[test]
fn one_under_a_former_name_of_the_cluster_stands_in_and_is_known_as_such() {
    let names = |orders: &Orders| orders.orders.iter().map(Order::name).collect::<Vec<_>>();
    let renamed = |schedule| Case { cluster: "west", schedule: Some(schedule), ..Case::quiet() };
    assert_eq!(names(&renamed(made(|_| {})).orders()), ["west-team-a"], "the other one is there first");

    // What is written to it leaves it what it is.
    let edited = made(|schedule| schedule["spec"]["template"]["ttl"] = json!("1h"));
    let orders = renamed(edited).orders();
    let [Order::Keep { wanted, .. }, _] = &orders.orders[..] else { panic!("{:?}", orders.orders) };
    assert_eq!((wanted.name_any().as_str(), wanted.labels()[CLUSTER].as_str()), ("east-team-a", "east"));
    let written = |wanted: &Schedule| {
        let mut written = wanted.clone();
        written.metadata.uid = Some("1".into());
        written.metadata.managed_fields = made(|_| {}).metadata.managed_fields;
        written
    };
    assert_eq!(names(&renamed(written(wanted)).orders()), ["west-team-a"]);

    // Of a namespace that is gone it is paused, and goes on being known.
    let gone = Case { there: false, ..renamed(made(|_| {})) }.written();
    assert_eq!((gone.name_any().as_str(), gone.spec.paused), ("east-team-a", Some(true)));
    assert!(is_nothing(&Case { there: false, ..renamed(written(&gone)) }.orders()));
}

#[test]
fn the_volume_policy_is_ours_by_its_name_alone() {
    let mut edited = volume_policy_map("velero");
    edited.metadata.labels = None;
    let orders = Case { map: Some(edited), ..Case::quiet() }.orders();
    assert!(matches!(orders.orders[..], [Order::KeepMap { live: Some(_), .. }]), "{:?}", orders.orders);
}

#[test]
fn what_is_on_its_way_out_is_written_to_only_to_be_paused() {
    let going = || {
        made(|schedule| {
            schedule["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            schedule["spec"]["template"]["ttl"] = json!("1h");
        })
    };
    assert!(is_nothing(&Case { schedule: Some(going()), ..Case::quiet() }.orders()));
    let policy = || gold(|spec| spec.velero.enabled = false);
    assert!(is_nothing(&Case { policy: policy(), schedule: Some(going()), ..Case::quiet() }.orders()));
    // Velero does not mind that it is on its way out, and finalizers may hold it for long.
    let policy = gold(|spec| spec.suspend = true);
    let paused = Case { policy, schedule: Some(going()), ..Case::quiet() }.written();
    assert_eq!(paused.spec.paused, Some(true));
}

#[test]
fn what_fits_is_rendered_again_only_when_something_has_changed() {
    let at = |version: &str| made(|made| made["metadata"]["resourceVersion"] = json!(version));
    let case = || Case { schedule: Some(at("1")), ..Case::quiet() };
    let mut fitting = Fitting::default();
    let rendered = |case: &Case, fitting: &mut Fitting| {
        let orders = case.orders_knowing(fitting);
        (orders.kept.len(), orders.orders.len())
    };
    assert_eq!(rendered(&case(), &mut fitting), (1, 0));
    assert_eq!(rendered(&case(), &mut fitting), (0, 0), "it is known to fit");
    assert_eq!(
        rendered(&Case { map: None, ..case() }, &mut fitting),
        (0, 1),
        "what it names is kept all the same"
    );

    let written = Case { schedule: Some(at("2")), ..case() };
    assert_eq!(rendered(&written, &mut fitting), (1, 0), "somebody has written to it");
    let mut edited = at("3");
    edited.spec.paused = Some(true);
    assert_eq!(rendered(&Case { schedule: Some(edited), ..case() }, &mut fitting), (0, 1));

    assert_eq!(rendered(&written, &mut fitting), (0, 0));
    let policy = gold(|spec| spec.velero.ttl = "60d".into());
    assert_eq!(
        rendered(&Case { policy, schedule: Some(at("2")), ..case() }, &mut fitting),
        (0, 1),
        "of another policy"
    );
    assert_eq!(rendered(&written, &mut fitting), (1, 0));
    assert_eq!(
        rendered(&Case { there: false, schedule: Some(at("2")), ..case() }, &mut fitting),
        (0, 1),
        "it is paused"
    );
    let renamed = Case { cluster: "west", schedule: Some(at("2")), ..case() };
    assert_eq!(rendered(&renamed, &mut fitting), (1, 1), "and another one is made");
}
