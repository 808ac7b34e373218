//! Records of Sandboxes: named after what they hold, cut to what fits, collected when nobody needs them.

use std::collections::BTreeSet;

use agenttier_backup_plan::{
    COLLECTED_AFTER, Collection, Contents, Digest, LARGEST_RECORD, LONGEST_NAME, Portion, RecordKey,
    RecordSight, Subject, TemplateSight, VolumeId, VolumeUid, collection, is_of_one_moment, is_our_record,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{NOW, minutes, seconds};

fn template(name: &str, spec: Option<&Value>) -> TemplateSight {
    TemplateSight {
        kind: "SandboxTemplate".into(),
        namespace: Some("team-a".into()),
        name: name.into(),
        digest: spec.map(Digest::of),
    }
}

fn contents(sandbox: &Value, templates: Vec<TemplateSight>) -> Contents {
    let name = sandbox["name"].as_str().unwrap().to_owned();
    Contents { sandbox: name, digest: Digest::of(sandbox), templates }
}

/// Names are written into recovery points: what gives one name today gives it in every later release.
#[test]
fn names_never_change() {
    let sandbox = json!({ "name": "s1", "uid": "u1", "spec": { "env": [{ "name": "A", "value": "1" }] } });
    let bare = contents(&sandbox, vec![]);
    assert_eq!(bare.digest.to_string(), "870eb5fab03a0ad8");
    assert_eq!(bare.name(), "s1-ead6e814b9984c18");
    let with = contents(&sandbox, vec![template("general", Some(&json!({ "mode": "code" })))]);
    assert_eq!(with.name(), "s1-e175780410ac0fcf");
    let without = contents(&sandbox, vec![template("general", None)]);
    assert_eq!(without.name(), "s1-aaae5d200518438a");
    let long = contents(&json!({ "name": "x".repeat(60) }), vec![]);
    assert_eq!(long.name(), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-42f2d973-6c2d69c8839aff09");
}

#[test]
fn what_speaks_of_one_moment_is_no_part_of_a_record() {
    for (key, value) in [
        ("agenttier.io/action", "stop"),
        ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
        ("kopf.zalando.org/last-handled-configuration", "{}"),
        ("lastSeen", "1784793600"),
        ("example.com/node-Heartbeat", "17"),
        ("reconcile.fluxcd.io/requestedAt", "2026-07-23T08:00:00.123456789+02:00"),
        ("janitor/expires", "2026-07-23T08:00:00Z"),
    ] {
        assert!(is_of_one_moment(key, value), "{key}: {value}");
    }
    for (key, value) in [
        ("note", "mine"),
        ("lasting", "yes"),
        ("example.com/cost-centre", "1784793600"),
        ("meta.helm.sh/release-name", "sandboxes"),
        ("example.com/agenttier.io", "x"),
        ("backup.agenttier.io/interval", "1h"),
        ("backup.agenttier.io/restored-data-of", "2026-07-23T08:00:00Z"),
    ] {
        assert!(!is_of_one_moment(key, value), "{key}: {value}");
    }
}

#[test]
fn the_order_of_keys_is_no_content_and_that_of_items_is() {
    let parsed = |text: &str| Digest::of(&serde_json::from_str(text).unwrap());
    assert_eq!(parsed(r#"{"a":{"x":1,"y":[1,2]},"b":"é"}"#), parsed(r#"{"b":"é", "a":{"y":[1,2],"x":1}}"#));
    assert_ne!(parsed("[1,2]"), parsed("[2,1]"));
    assert_ne!(parsed("[1,2]"), parsed("[12]"));
    assert_ne!(parsed(r#"{"a":"1"}"#), parsed(r#"{"a":1}"#));
    assert_ne!(parsed(r#"{"a":null}"#), parsed("{}"));
}

fn any_value() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        "[a-c:,\"{}]{0,3}".prop_map(Value::from),
    ];
    plain.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[ab]{1,2}", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_contents() -> impl Strategy<Value = (Value, Vec<(String, Option<Value>)>)> {
    let sandbox = ("[ab]{1,2}", any_value()).prop_map(|(name, spec)| json!({ "name": name, "spec": spec }));
    (sandbox, vec(("[ab]", proptest::option::of(any_value())), 0..3))
}

fn of((sandbox, templates): &(Value, Vec<(String, Option<Value>)>)) -> Contents {
    contents(sandbox, templates.iter().map(|(name, spec)| template(name, spec.as_ref())).collect())
}

proptest! {
    #[test]
    fn equal_contents_and_no_others_have_equal_names(one in any_contents(), other in any_contents()) {
        prop_assert_eq!(of(&one).name() == of(&other).name(), one == other);
        prop_assert_eq!(of(&one).name(), of(&one.clone()).name());
    }

    #[test]
    fn names_fit(name in "[a-z]([a-z0-9.-]{0,250}[a-z0-9])?") {
        let record = contents(&json!({ "name": &name }), vec![]).name();
        prop_assert!(record.len() <= LONGEST_NAME, "{}", record);
        prop_assert!(name.len() > 46 || record.starts_with(&format!("{name}-")), "{}", record);
    }

    #[test]
    fn what_is_held_fits(sandbox in 0..70_000_usize, templates in vec(0..70_000_usize, 0..4)) {
        let text = |size: usize| json!({ "name": "s", "text": "x".repeat(size) });
        let sights = templates.iter().map(|size| template("t", Some(&text(*size)))).collect();
        let contents = contents(&text(sandbox), sights);
        let Ok(portions) = contents.portions() else {
            prop_assert!(sandbox > LARGEST_RECORD - 2_000);
            return Ok(());
        };
        let held = templates.iter().zip(&portions).filter(|(_, portion)| **portion == Portion::Spec);
        let size = sandbox + held.map(|(size, _)| size).sum::<usize>();
        prop_assert!(size <= LARGEST_RECORD);
        for (template, portion) in templates.iter().zip(&portions) {
            prop_assert!(*portion == Portion::Spec || size + template > LARGEST_RECORD - 2_000, "{:?}", portions);
        }
    }
}

#[test]
fn a_template_that_does_not_fit_is_left_out_and_one_that_is_missing_is_told() {
    let large = json!({ "text": "x".repeat(LARGEST_RECORD) });
    let templates =
        vec![template("own", Some(&json!({}))), template("parent", Some(&large)), template("gone", None)];
    let contents = contents(&json!({ "name": "s1" }), templates);
    assert_eq!(contents.portions(), Ok(vec![Portion::Spec, Portion::Digest, Portion::Name]));
    let large = Contents { digest: Digest::of(&large), ..contents };
    assert!(large.portions().is_err_and(|size| size > LARGEST_RECORD));
}

/// What surrounds the parts takes room too: 64 bytes, and 128 and its names for each template.
#[test]
fn the_last_byte_may_be_used_and_no_more() {
    // Quotes are two of them.
    let of_size = |size: usize| Digest::of(&"x".repeat(size - 2).into());
    // SandboxTemplate, team-a and general are 15, 6 and 7 letters long.
    let room = LARGEST_RECORD - 64 - (128 + 15 + 6 + 7);
    let held = |sandbox: usize, spec: usize| {
        let template = TemplateSight { digest: Some(of_size(spec)), ..template("general", None) };
        Contents { sandbox: "s1".into(), digest: of_size(sandbox), templates: vec![template] }.portions()
    };
    assert_eq!(held(room - 100, 100), Ok(vec![Portion::Spec]));
    assert_eq!(held(room - 100, 101), Ok(vec![Portion::Digest]));
    assert_eq!(held(room, 2), Ok(vec![Portion::Digest]));
    assert_eq!(held(room + 1, 2), Err(LARGEST_RECORD + 1));
}

fn record(name: &str, age: jiff::SignedDuration) -> RecordSight {
    RecordSight {
        namespace: "team-a".into(),
        name: name.into(),
        uid: format!("uid-of-{name}"),
        version: "7".into(),
        created: NOW - age,
        ours: true,
        terminating: false,
    }
}

fn key(name: &str) -> RecordKey {
    ("team-a".into(), name.into())
}

fn due(collection: &Collection) -> Vec<&str> {
    collection.due.iter().map(|record| record.name.as_str()).collect()
}

#[test]
fn a_record_goes_an_hour_after_it_was_made_unless_somebody_needs_it() {
    let (old, young) = (COLLECTED_AFTER, COLLECTED_AFTER - seconds(1));
    let records =
        [record("old", old), record("older", old + minutes(1)), record("young", young), record("used", old)];
    let in_use = BTreeSet::from([key("used"), ("team-b".into(), "old".into())]);
    let collection = collection(NOW, &records, &in_use);
    assert_eq!(due(&collection), ["older", "old"], "another namespace's record of that name is another one");
    assert_eq!(collection.wake, Some(NOW + seconds(1)));
}

#[test]
fn what_is_not_ours_or_on_its_way_out_is_left_alone() {
    let records = [
        RecordSight { ours: false, ..record("theirs", minutes(90)) },
        RecordSight { terminating: true, ..record("leaving", minutes(90)) },
    ];
    assert_eq!(collection(NOW, &records, &BTreeSet::new()), Collection::default());
}

#[test]
fn ours_is_what_we_made_and_velero_has_not_brought_back() {
    let ours = ("app.kubernetes.io/managed-by", "agenttier-backup");
    assert!(is_our_record([ours, ("agenttier.io/sandbox", "s1")]));
    assert!(!is_our_record([ours, ("velero.io/restore-name", "r1")]));
    assert!(!is_our_record([("app.kubernetes.io/managed-by", "helm")]));
    assert!(!is_our_record([]));
}

#[test]
fn a_subjects_record_is_in_its_namespace_and_named_after_what_it_holds() {
    let sandbox = json!({ "name": "s1" });
    let volume = VolumeId { namespace: "team-a".into(), claim: "c".into(), uid: VolumeUid::new("v") };
    let subject = Subject { volume, uid: "u".into(), contents: contents(&sandbox, vec![]) };
    assert_eq!(subject.record(), ("team-a".to_owned(), subject.contents.name()));
}
