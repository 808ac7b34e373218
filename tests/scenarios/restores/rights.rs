//! Restoring with the rights that the documentation names, and no others.

use std::path::PathBuf;

use double::{NewSandbox, Options};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use stage::{Output, Stage};
use testbed::{Exit, WAITING_STORAGE_CLASS};

use super::{at_work, nothing_of, point_of, protect, runs_on};
use crate::place::{TEAM, TEMPLATE, eventually, may, stage_with, user};

const ACCOUNT: &str = "namespace-admin";
const DOCUMENT: &str = include_str!("../../../docs/rights.md");

/// A verb on a resource of the sandbox's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    verb: String,
    resource: String,
}

/// What the document says that a command needs in the sandbox's namespace.
pub(crate) fn documented(wanted: &str) -> Vec<Right> {
    documented_where(wanted, "the sandbox's namespace")
}

fn documented_where(wanted: &str, wanted_place: &str) -> Vec<Right> {
    let mut command = String::new();
    let mut rights = vec![];
    let (_, commands) = DOCUMENT.split_once("## The commands").unwrap();
    for row in commands.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [_, of, resources, verbs, place, _] = &cells[..] else { panic!("not a row of four: {row}") };
        if !of.is_empty() {
            command.clone_from(of);
        }
        if command == wanted && place == wanted_place {
            for (resource, verb) in
                resources.split(", ").flat_map(|resource| verbs.split(", ").map(move |verb| (resource, verb)))
            {
                rights.push(Right { verb: verb.into(), resource: resource.into() });
            }
        }
    }
    rights
}

fn rules(rights: &[Right]) -> Vec<PolicyRule> {
    let rule = |right: &Right| PolicyRule {
        api_groups: Some(vec![group(&right.resource).into()]),
        resources: Some(vec![right.resource.clone()]),
        verbs: vec![right.verb.clone()],
        ..PolicyRule::default()
    };
    rights.iter().map(rule).collect()
}

fn group(resource: &str) -> &'static str {
    match resource {
        "volumesnapshots" => "snapshot.storage.k8s.io",
        "sandboxes" | "sandboxes/status" => "agenttier.io",
        "sandboxrecords" => "backup.agenttier.io",
        "persistentvolumeclaims" | "pods" => "",
        other => panic!("which group has {other}?"),
    }
}

/// Gives the account these rights in the namespace, and no others.
pub(crate) async fn grant(stage: &Stage, rights: &[Right]) {
    let roles: Api<Role> = Api::namespaced(stage.client.clone(), TEAM);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": ACCOUNT }, "rules": rules(rights),
    });
    let params = PatchParams::apply("scenario").force();
    roles.patch(ACCOUNT, &params, &Patch::Apply(&role)).await.unwrap();
}

pub(crate) async fn account(stage: &Stage) -> PathBuf {
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), TEAM);
    let account = serde_json::from_value(json!({ "metadata": { "name": ACCOUNT } })).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(stage.client.clone(), TEAM);
    let binding = serde_json::from_value(json!({
        "metadata": { "name": ACCOUNT },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT },
        "subjects": [{ "kind": "ServiceAccount", "namespace": TEAM, "name": ACCOUNT }],
    }))
    .unwrap();
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    stage.cluster.service_account_kubeconfig(TEAM, ACCOUNT).await.unwrap()
}

/// Whether the account has a right, by now.
async fn has(stage: &Stage, Right { verb, resource }: &Right) -> anyhow::Result<bool> {
    let (kind, part) = resource.split_once('/').unwrap_or((resource.as_str(), ""));
    let attributes = json!({
        "namespace": TEAM, "verb": verb, "group": group(resource), "resource": kind, "subresource": part,
    });
    may(stage, &format!("{TEAM}:{ACCOUNT}"), attributes).await
}

pub(crate) async fn run(stage: &Stage, kubeconfig: &std::path::Path, args: &[&str]) -> Output {
    let process = stage.begin(args, kubeconfig).await.unwrap();
    Output { exit: process.wait().await.unwrap(), text: process.log().unwrap() }
}

#[tokio::test]
async fn a_namespaces_admin_restores_with_the_documented_rights() {
    let stage = stage_with("tenant-restores", Options::default()).await;
    let user = user(&stage);
    user.create(NewSandbox::named("s1").cluster_template(TEMPLATE)).await.unwrap();
    let late = NewSandbox::named("s2").storage("1Gi", WAITING_STORAGE_CLASS);
    user.create(late).await.unwrap();
    let (first, second) = (at_work(&stage, "s1").await, at_work(&stage, "s2").await);
    protect(&stage).await;
    let _ = (point_of(&stage, "s1").await, point_of(&stage, "s2").await);

    let rights = documented("restore");
    assert!(rights.len() > 8, "{rights:?}");
    grant(&stage, &rights).await;
    let kubeconfig = account(&stage).await;
    let output = eventually("the rights are in force", || async {
        let output = run(&stage, &kubeconfig, &["restore", "s1", "-n", TEAM, "--as", "ours"]).await;
        Ok((!output.text.contains("forbidden")).then_some(output))
    })
    .await;
    output.good().unwrap();
    runs_on(&stage, "ours", &first).await;
    // Its class, which says that it binds on first use, cannot be read.
    let args = ["restore", "s2", "-n", TEAM, "--as", "late", "--timeout", "240"];
    run(&stage, &kubeconfig, &args).await.good().unwrap();
    runs_on(&stage, "late", &second).await;

    // Each of them is needed, and without it nothing is made.
    for missing in &rights {
        let others: Vec<Right> = rights.iter().filter(|right| *right != missing).cloned().collect();
        grant(&stage, &others).await;
        // Until then the one before may be missing still, and in the middle of a restore this one instead.
        eventually("the right is gone", || async { Ok((!has(&stage, missing).await?).then_some(())) }).await;
        let args = ["restore", "s1", "-n", TEAM, "--as", "none", "--timeout", "240"];
        let output = run(&stage, &kubeconfig, &args).await;
        let Right { verb, resource } = missing;
        let denied = format!("cannot {verb} resource \"{resource}\"");
        // Right after trouble with the API server it is said before, and not believed at once.
        let (_, said) = output.text.rsplit_once("error: ").unwrap_or_default();
        assert_eq!(said.matches(&denied).count(), 1, "without {missing:?}: {}", output.text);
        nothing_of(&stage, "none").await;
    }

    // One that is gone comes back from its record, which takes one right more.
    let more = documented_where("restore", "the sandbox's namespace, where the sandbox is gone");
    assert_eq!(more, [Right { verb: "get".into(), resource: "sandboxrecords".into() }]);
    grant(&stage, &rights).await;
    user.delete("s1").await.unwrap();
    user.wait_gone("s1").await.unwrap();
    let args = ["restore", "s1", "-n", TEAM, "--as", "back", "--timeout", "240"];
    let output = eventually("its volume is gone, and the rights are back", || async {
        let output = run(&stage, &kubeconfig, &args).await;
        Ok(output.text.contains("sandboxrecords").then_some(output))
    })
    .await;
    assert!(output.text.contains("cannot get resource \"sandboxrecords\""), "{}", output.text);
    nothing_of(&stage, "back").await;
    grant(&stage, &[rights, more].concat()).await;
    eventually("the right is in force", || async {
        Ok((run(&stage, &kubeconfig, &args).await.exit == Exit::Code(0)).then_some(()))
    })
    .await;
    runs_on(&stage, "back", &first).await;
}
