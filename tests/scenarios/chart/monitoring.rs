//! What Prometheus is told of the controller.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::site::{RELEASE, folder, installed};

/// Everything that the chart renders with these values.
async fn rendered(values: &[&str]) -> Vec<Value> {
    let chart = folder("chart").display().to_string();
    let args = ["template", RELEASE, &chart, "-n", RELEASE, "--kube-version", "1.33.0"];
    let values = values.iter().flat_map(|value| ["--set", *value]);
    let args: Vec<&str> = args.into_iter().chain(values).collect();
    let text = installed().helm(&args).await.unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind)
}

#[tokio::test]
async fn the_service_leads_to_the_metrics_of_every_replica() {
    let objects = rendered(&["controller.metricsAddress=[::]:9999"]).await;
    let service = &of_kind(&objects, "Service").unwrap()["spec"];
    let pod = &of_kind(&objects, "Deployment").unwrap()["spec"]["template"];
    for (label, value) in service["selector"].as_object().unwrap() {
        assert_eq!(&pod["metadata"]["labels"][label], value, "{label}");
    }
    let port = &service["ports"][0];
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(9999), &json!("metrics")));
    let ports = pod["spec"]["containers"][0]["ports"].as_array().unwrap();
    assert!(
        ports.contains(&json!({ "name": "metrics", "containerPort": 9999, "protocol": "TCP" })),
        "{ports:?}"
    );
}

#[tokio::test]
async fn monitor_and_rules_come_only_when_asked_for() {
    let kinds = ["ServiceMonitor", "PrometheusRule"];
    let objects = rendered(&[]).await;
    assert!(kinds.iter().all(|kind| of_kind(&objects, kind).is_none()));

    let values = ["serviceMonitor", "rules"]
        .map(|key| format!("metrics.{key}.enabled=true,metrics.{key}.labels.prom=main"));
    let objects = rendered(&values.each_ref().map(String::as_str)).await;
    for kind in kinds {
        let labels = &of_kind(&objects, kind).unwrap()["metadata"]["labels"];
        assert_eq!(labels["prom"], "main", "{kind}");
    }
    let service = of_kind(&objects, "Service").unwrap();
    let monitor = &of_kind(&objects, "ServiceMonitor").unwrap()["spec"];
    for (label, value) in monitor["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][label], value, "{label}");
    }
    assert_eq!(monitor["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(monitor["namespaceSelector"]["matchNames"], json!([service["metadata"]["namespace"]]));
}

fn rules(objects: &[Value]) -> &[Value] {
    let rule = of_kind(objects, "PrometheusRule").unwrap();
    rule["spec"]["groups"][0]["rules"].as_array().unwrap()
}

/// Where none is wanted, none that leads is missing.
#[tokio::test]
async fn without_replicas_nobody_is_called_for_want_of_a_leader() {
    let alerts = |objects: &[Value]| -> BTreeSet<String> {
        rules(objects).iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
    };
    let usual = alerts(&rendered(&["metrics.rules.enabled=true"]).await);
    let scaled_down = alerts(&rendered(&["metrics.rules.enabled=true,replicas=0"]).await);
    let missing: Vec<&String> = usual.difference(&scaled_down).collect();
    assert_eq!(missing, ["AgentTierBackupNoLeader"]);
    assert!(scaled_down.is_subset(&usual));
}

/// An alert on a metric that does not exist never fires.
#[tokio::test]
async fn alerts_ask_for_what_there_is_and_are_documented() {
    let objects = rendered(&["metrics.rules.enabled=true"]).await;
    let page = std::fs::read_to_string(folder("docs/metrics.md")).unwrap();
    let first_cells = |prefix: &str| -> BTreeSet<String> {
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        rows.filter(|cell| cell.starts_with(prefix)).map(str::to_owned).collect()
    };
    let metrics = first_cells("agenttier_backup_");
    let service = of_kind(&objects, "Service").unwrap();
    let mut alerts = BTreeSet::new();
    for rule in rules(&objects) {
        let expr = rule["expr"].as_str().unwrap();
        let words = expr.split(|c: char| !c.is_alphanumeric() && c != '_');
        let asked: Vec<&str> = words.filter(|word| word.starts_with("agenttier_backup_")).collect();
        assert!(!asked.is_empty() && asked.iter().all(|metric| metrics.contains(*metric)), "{expr}");
        let of = format!("job={},namespace=\"{RELEASE}\"", service["metadata"]["name"]);
        assert!(expr.contains(&of), "{expr} is of this release alone: {of}");
        alerts.insert(rule["alert"].as_str().unwrap().to_owned());
    }
    assert_eq!(alerts, first_cells("AgentTierBackup"));
}
