//! `plan -f`: files in place of a cluster, and nobody is asked.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const NOW: &str = "2026-11-20T12:00:00Z";

/// What the command prints and notes, with a kubeconfig that leads nowhere.
fn plan(args: &[&str], stdin: &str) -> (String, String, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agenttier-backup"))
        .args(["--kubeconfig", "/nowhere", "plan", "--now", NOW])
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env("NO_COLOR", "1")
        // Scripts of others export these; they mean nothing here.
        .envs([("CLUSTER_NAME", "Not_A Name"), ("VELERO_NAMESPACE", "elsewhere")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

fn planned(args: &[&str], objects: &Value) -> (Value, String) {
    let (out, notes, good) = plan(&[args, &["-f", "-", "-o", "json"]].concat(), &objects.to_string());
    assert!(good, "{notes}");
    (serde_json::from_str(&out).unwrap(), notes)
}

fn claim(name: &str, more: &Value) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "namespace": "team-a", "name": name, "uid": format!("uid-of-{name}"),
            "labels": { "agenttier.io/managed": "true" }, "creationTimestamp": "2026-11-01T00:00:00Z" },
        "spec": { "volumeName": format!("volume-{name}") }, "status": { "phase": "Bound" },
    });
    for (key, value) in more.as_object().unwrap() {
        claim[key] = value.clone();
    }
    claim
}

/// A ready recovery point of ours of a claim, created at `at`.
fn point(claim: &str, at: &str) -> Value {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": { "namespace": "team-a", "name": format!("{claim}-{}", &at[8..10]), "creationTimestamp": at,
            "labels": { "app.kubernetes.io/managed-by": "agenttier-backup" },
            "annotations": { "backup.agenttier.io/claim": claim,
                "backup.agenttier.io/volume-uid": format!("uid-of-{claim}") } },
        "spec": { "source": { "persistentVolumeClaimName": claim } },
        "status": { "readyToUse": true },
    })
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "backup.agenttier.io/v1alpha1", "kind": "BackupPolicy",
        "metadata": { "name": name }, "spec": spec })
}

#[test]
fn a_dump_of_a_cluster_is_planned_as_the_cluster_itself() {
    let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "volume-s1-workspace" },
        "spec": { "csi": { "driver": "csi.example.com", "volumeHandle": "h" } } });
    let week = json!({ "snapshots": { "interval": "1d", "retention": { "maxAge": "7d" } } });
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        claim("s1-workspace", &json!({})), volume, policy("default", &week),
        point("s1-workspace", "2026-11-10T00:00:00Z"), point("s1-workspace", "2026-11-20T11:00:00Z"),
    ]});
    let (report, notes) = planned(&[], &objects);
    assert_eq!(notes, "", "nothing had to be made up");
    assert_eq!(report["now"], NOW);
    let volume = &report["volumes"][0];
    assert_eq!((&volume["driver"], &volume["policy"]), (&json!("csi.example.com"), &json!("default")));
    assert_eq!(volume["protection"]["state"], "Protected");
    let [prune] = &report["actions"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!((&prune["action"], &prune["name"]), (&json!("Prune"), &json!("s1-workspace-10")));
    assert_eq!(planned(&[], &objects).0, report, "the same again");

    // The policy that somebody thinks of outranks the one in the dump.
    let longer =
        json!({ "priority": 5, "snapshots": { "interval": "1d", "retention": { "maxAge": "30d" } } });
    let both = [objects.to_string(), policy("longer", &longer).to_string()].concat();
    let (out, notes, good) = plan(&["-f", "-", "-o", "json"], &both);
    assert!(good, "{notes}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["actions"], json!([]), "{report:#}");
    let order: Vec<&Value> =
        report["policies"].as_array().unwrap().iter().map(|one| &one["policy"]).collect();
    assert_eq!(order, ["longer", "default"]);
    assert_eq!(report["policies"][1]["outrankedBy"], json!(["longer"]));
}

#[test]
fn what_only_a_cluster_would_know_is_made_up_and_said() {
    let bare = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "s1-workspace" } });
    let sandbox = |name: &str| json!({ "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox", "metadata": { "name": name } });
    let by_name = json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "team-a" } },
        "snapshots": { "intervall": "1h" } });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "s1-pod" } });
    let items = [bare.clone(), bare, sandbox("s1"), sandbox("s2"), policy("gold", &by_name), pod];
    let (report, notes) = planned(&["-n", "team-a"], &json!({ "kind": "List", "items": items }));
    let [volume] = &report["volumes"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!(volume["volume"]["namespace"], "team-a", "the namespace of -n");
    assert_eq!((&volume["sandbox"], &volume["policy"]), (&json!("s1"), &json!("gold")));
    assert_eq!(report["actions"][0]["action"], "TakeSnapshot", "new, so that it is due");
    for note in [
        "PersistentVolumeClaim s1-workspace is given more than once",
        "Sandbox team-a/s2: its volume claim s2-workspace is not given",
        "1 object of kind Pod left out",
        "the PersistentVolumes of 1 claim are not given",
        "BackupPolicy gold: spec.snapshots.intervall is none of its fields",
    ] {
        assert!(notes.contains(note), "{note:?} in {notes}");
    }
    let (report, _) =
        planned(&["-n", "team-b"], &json!({ "kind": "List", "items": [claim("s1", &json!({}))] }));
    assert_eq!(report["volumes"], json!([]), "of another namespace");
}

#[test]
fn a_policy_alone_says_what_it_means() {
    let (text, notes, good) = plan(&["-f", "examples/policies.yaml"], "");
    assert!(good && notes.is_empty(), "{notes}");
    let meaning = "BackupPolicy gold: priority 20, for namespaces with backup.agenttier.io/tier=gold: none of those known \
                here\n  a snapshot of each workspace every 1h, of the default class of its driver\n  kept for 30d, the \
                newest 3 whatever their age: thinned out, about 76 of a workspace\n  protected while its newest ready one is \
                younger than 1h30m\n";
    assert!(text.contains(meaning), "{text}");
    assert!(
        text.find("BackupPolicy none").unwrap() < text.find("BackupPolicy gold").unwrap(),
        "by rank: {text}"
    );
    assert!(text.contains("not in force (SnapshotsDisabled)"), "{text}");

    let wrong =
        policy("wrong", &json!({ "snapshots": { "interval": "2d", "retention": { "maxAge": "1d" } } }));
    let (text, _, good) = plan(&["-f", "-"], &wrong.to_string());
    assert!(
        good && text.contains("not in force (PolicyInvalid: spec.snapshots.retention.maxAge: 1d"),
        "{text}"
    );
}

/// The Schedules that would come, without asking anybody; and what an edit of one comes to.
#[test]
fn a_policy_with_velero_shows_the_schedules_that_would_come() {
    let on = policy("gold", &json!({ "velero": { "enabled": true, "ttl": "14d" } }));
    let sandbox =
        json!({ "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox", "metadata": { "name": "s1" } });
    let objects = json!({ "kind": "List", "items": [on, sandbox] });
    let (report, notes) = planned(&["-n", "team-a"], &objects);
    let [schedule] = &report["velero"]["schedules"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!((&schedule["step"], &schedule["name"]), (&json!("Make"), &json!("this-cluster-team-a")));
    assert_eq!(schedule["manifest"]["spec"]["template"]["ttl"], "336h0m0s");
    assert!(
        notes.contains("--cluster-name") && notes.contains("no Schedule (schedules.velero.io)"),
        "{notes}"
    );
    assert_eq!(schedule["manifest"]["metadata"]["namespace"], "velero");

    let args = ["-n", "team-a", "--cluster-name", "east", "-f", "-"];
    let (yaml, notes, good) = plan(&[&args[..], &["--schedules=yaml"]].concat(), &objects.to_string());
    assert!(good && !notes.contains("--cluster-name"), "{notes}");
    let documents: Vec<&str> = yaml.split("---\n").filter(|document| !document.is_empty()).collect();
    let [map, schedule] = documents[..] else { panic!("{yaml}") };
    assert!(
        map.contains("name: agenttier-backup-volumes") && schedule.contains("name: east-team-a"),
        "{yaml}"
    );

    // What was printed, with an edit, is what there is.
    let edited = schedule.replace("336h0m0s", "1h0m0s");
    let both = format!("---\n{objects}\n---\n{edited}");
    let (diff, notes, good) = plan(&[&args[..], &["--schedules"]].concat(), &both);
    assert!(good, "{notes}");
    assert!(diff.contains("east-team-a: change\n--- cluster\n+++ plan\n"), "{diff}");
    assert!(diff.contains("\n-    ttl: 1h0m0s\n+    ttl: 336h0m0s\n"), "{diff}");
    assert!(!diff.contains('\u{1b}'), "no colours but on a terminal: {diff:?}");
    assert!(!notes.contains("no Schedule (") && !notes.contains("in sync"), "{notes}");

    // What is not written is noted, and not among what is printed: that may be piped.
    let theirs = schedule.replace("managed-by: agenttier-backup", "managed-by: somebody");
    let taken = format!("---\n{objects}\n---\n{theirs}");
    let nobody = json!({ "kind": "List", "items": [sandbox] }).to_string();
    for (given, said) in [
        (&taken, "note: Schedule east-team-a is left alone: ScheduleTaken: "),
        (&nobody, "note: no BackupPolicy wants backups by Velero: spec.velero.enabled"),
    ] {
        let (diff, notes, good) = plan(&[&args[..], &["--schedules"]].concat(), given);
        assert!(good && diff.is_empty() && notes.contains(said), "{said}: {diff}{notes}");
    }

    let (report, notes) = planned(&["-n", "team-a"], &json!({ "kind": "List", "items": [sandbox] }));
    assert_eq!(
        (&report["velero"], notes.contains("cluster")),
        (&Value::Null, false),
        "nobody wants any: {notes}"
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_its_file() {
    for (args, said) in [
        (["-f", "no/such.yaml"], "cannot read no/such.yaml"),
        (["-f", "src/plan/tests"], "there is no .yaml, .yml or .json file in src/plan/tests"),
        (["-f", "rustfmt.toml"], "rustfmt.toml is no manifest"),
        (["-f", "-"], "- is no manifest"),
    ] {
        let (_, error, good) = plan(&args, "kind: [");
        assert!(!good && error.contains(said), "{args:?}: {error}");
    }
    let (_, error, good) = plan(&[], "");
    assert!(!good && error.contains("--filename"), "--now is for files alone: {error}");
}
