//! Restores that are refused: in plain words, and before anything is made.

use double::{NewSandbox, Options, Phase};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use stage::Stage;
use testbed::{Exit, STORAGE_CLASS};

use super::{nothing_of, runs_on, with_a_point};
use crate::place::{TEAM, TEMPLATE, claims, eventually, stage_with, user, workspace};

async fn refused(stage: &Stage, args: &[&str]) -> String {
    let output = stage.run(args).await.unwrap();
    assert_eq!(output.exit, Exit::Code(1), "{}", output.text);
    output.text
}

/// What is in the way is said, and is not touched.
#[tokio::test]
async fn what_is_in_the_way_is_named_and_left_alone() {
    let stage = stage_with("refused-restores", Options::default()).await;
    with_a_point(&stage).await;
    let user = user(&stage);

    let text = refused(&stage, &["restore", "nobody", "-n", TEAM]).await;
    assert!(text.contains("there is no sandbox \"nobody\""), "{text}");

    let text = refused(&stage, &["restore", "s1", "-n", TEAM, "--from", "no-such"]).await;
    assert!(text.contains("there is no VolumeSnapshot \"no-such\""), "{text}");

    user.create(NewSandbox::named("taken").cluster_template(TEMPLATE)).await.unwrap();
    user.wait_phase("taken", Phase::Running).await.unwrap();
    let text = refused(&stage, &["restore", "s1", "-n", TEAM, "--as", "taken"]).await;
    assert!(text.contains("a sandbox of that name exists already"), "{text}");

    workspace(&stage, "held-workspace", STORAGE_CLASS).await;
    let text = refused(&stage, &["restore", "s1", "-n", TEAM, "--as", "held"]).await;
    assert!(text.contains("a volume claim for that sandbox exists already"), "{text}");
    assert!(!text.contains("kubectl delete"), "it is not ours to offer: {text}");
    assert!(user.sandboxes().get_opt("held").await.unwrap().is_none(), "nothing was made");

    let all = claims(&stage).list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 3, "s1, taken and held: no claim of a refused restore");
}

/// Refused by a quota, a restore leaves nothing behind, and says why once.
#[tokio::test]
async fn a_quota_refuses_before_anything_is_made() {
    let stage = stage_with("quota-restores", Options::default()).await;
    let before = with_a_point(&stage).await;
    let quotas: Api<ResourceQuota> = Api::namespaced(stage.client.clone(), TEAM);
    let quota = serde_json::from_value(serde_json::json!({
        "metadata": { "name": "few" },
        "spec": { "hard": { "count/sandboxes.agenttier.io": "1" } },
    }))
    .unwrap();
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    eventually("the quota is in force", || async {
        let status = quotas.get("few").await?.status.unwrap_or_default();
        Ok(status.hard.map(drop))
    })
    .await;
    // Kubernetes would count objects of a kind that is new to it some minutes later.
    let counted = serde_json::json!({ "status": { "used": { "count/sandboxes.agenttier.io": "1" } } });
    let one_more: DynamicObject = serde_json::from_value(serde_json::json!({
        "apiVersion": "agenttier.io/v1alpha1", "kind": "Sandbox", "metadata": { "name": "one-more" }, "spec": {},
    }))
    .unwrap();
    let sandboxes = user(&stage).sandboxes();
    eventually("what is too many is refused", || async {
        quotas.patch_status("few", &PatchParams::default(), &Patch::Merge(&counted)).await?;
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let refused = sandboxes.create(&dry_run, &one_more).await.err().map(|error| error.to_string());
        Ok(refused.is_some_and(|error| error.contains("exceeded quota")).then_some(()))
    })
    .await;

    let text = refused(&stage, &["restore", "s1", "-n", TEAM, "--as", "more", "-o", "json"]).await;
    assert!(text.starts_with("error: cannot create the sandbox: "), "{text}");
    assert_eq!(text.matches("exceeded quota: few").count(), 1, "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(!text.contains("ApiError") && !text.contains("Status"), "{text}");
    nothing_of(&stage, "more").await;

    quotas.delete("few", &DeleteParams::default()).await.unwrap();
    eventually("with the quota gone", || async {
        Ok((stage.run(&["restore", "s1", "-n", TEAM, "--as", "more"]).await?.exit == Exit::Code(0))
            .then_some(()))
    })
    .await;
    runs_on(&stage, "more", &before).await;

    a_name_that_cannot_be_is_refused(&stage).await;
    the_namespace_is_the_contexts(&stage).await;
}

async fn a_name_that_cannot_be_is_refused(stage: &Stage) {
    for (name, why) in [
        ("Not_A_Name", "lower-case letters, digits and '-' are allowed"),
        (&"x".repeat(54), "at most 53 characters"),
    ] {
        let text = refused(stage, &["restore", "s1", "-n", TEAM, "--as", name]).await;
        assert!(text.contains(why), "{text}");
    }
    let all = claims(stage).list(&ListParams::default()).await.unwrap();
    assert!(all.items.iter().all(|claim| !claim.metadata.name.as_ref().unwrap().contains("xx")));
}

/// Without -n it is where kubectl would look.
async fn the_namespace_is_the_contexts(stage: &Stage) {
    let mut file = Kubeconfig::read_from(stage.cluster.kubeconfig()).unwrap();
    let context = file.contexts[0].context.as_mut().unwrap();
    context.namespace = Some(TEAM.to_owned());
    let path = stage.cluster.dir().join("team.kubeconfig");
    std::fs::write(&path, serde_json::to_string(&file).unwrap()).unwrap();
    let process = stage.begin(&["restore", "s1", "--as", "here", "-o", "json"], &path).await.unwrap();
    assert_eq!(process.wait().await.unwrap(), Exit::Code(0), "{}", process.log().unwrap());
    let restored: serde_json::Value = serde_json::from_str(&process.log().unwrap()).unwrap();
    assert_eq!(restored["namespace"], TEAM);
    let text = refused(stage, &["restore", "s1", "--as", "there"]).await;
    assert!(text.contains("in namespace \"default\""), "{text}");
}
