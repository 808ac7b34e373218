//! What a Sandbox needs besides its volume.

use double::{NewSandbox, Phase};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt;
use serde_json::json;

use crate::place::{Place, eventually, is_ready};

#[tokio::test]
async fn an_unresolvable_template_is_a_terminal_error() {
    let place = Place::shared("no-template").await;
    place.pooled_template().await;
    let double = place.double_with(place.pool(1));
    let pool = place.ready_pool(1).await;
    place.user.create_template("orphan", json!({"inheritsFrom": {"name": "nobody"}})).await.unwrap();

    let unknown_kind = json!({"templateRef": {"name": place.namespace, "kind": "Unknown"}});
    let lost = [
        (NewSandbox::named("missing").template("absent"), "SandboxTemplate no-template/absent not found"),
        (NewSandbox::named("orphaned").template("orphan"), "failed to resolve parent template nobody"),
        (NewSandbox::named("strange").spec(unknown_kind), "unknown template kind: Unknown"),
    ];
    for (sandbox, why) in lost {
        let name = place.user.create(sandbox).await.unwrap().name_any();
        let failed = place.user.wait_phase(&name, Phase::Error).await.unwrap();
        let message = failed.data["status"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{name}: {message}");
    }

    // The template comes too late: another Sandbox gets through, this one does not.
    place.user.create_template("absent", json!({})).await.unwrap();
    place.user.create(NewSandbox::named("later").template("absent")).await.unwrap();
    place.user.wait_phase("later", Phase::Running).await.unwrap();
    for name in ["missing", "orphaned", "strange"] {
        let sandbox = place.user.sandboxes().get(name).await.unwrap();
        assert_eq!(sandbox.data["status"]["phase"], "Error");
        assert!(place.pods().get_opt(&format!("{name}-pod")).await.unwrap().is_none());
        assert!(place.claims().get_opt(&format!("{name}-workspace")).await.unwrap().is_none());
    }
    let untouched = place.ready_pool(1).await;
    assert_eq!(untouched.items[0].uid(), pool.items[0].uid());
    double.shutdown().await;
}

#[tokio::test]
async fn a_template_and_its_parent_shape_the_sandbox() {
    let place = Place::shared("inherits").await;
    let double = place.double();
    let agent =
        |field: &str| json!({"harness": {"agent": {field: ["x"]}}, "inheritsFrom": {"name": "parent"}});
    let mut parent = agent("entrypoint");
    parent["storage"] = json!({"size": "2Gi"});
    parent.as_object_mut().unwrap().remove("inheritsFrom");
    place.user.create_template("parent", parent).await.unwrap();
    place.user.create_template("child", agent("installCommand")).await.unwrap();

    place.user.create(NewSandbox::named("s1").template("child")).await.unwrap();
    let running = place.user.wait_phase("s1", Phase::Running).await.unwrap();
    let status = &running.data["status"];
    assert_eq!(status["resolvedTemplate"], "child");
    assert_eq!(status["resolvedAgentSpec"], json!({"entrypoint": ["x"], "installCommand": ["x"]}));
    assert!(status["templateResourceVersion"].is_string());
    let claim = place.claims().get("s1-workspace").await.unwrap();
    assert_eq!(claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "2Gi");
    assert_eq!(place.pods().get("s1-pod").await.unwrap().labels()["agenttier.io/template"], "child");
    double.shutdown().await;
}

#[tokio::test]
async fn a_missing_account_fails_and_a_missing_secret_waits() {
    let place = Place::shared("needs").await;
    let double = place.double();
    place.user.create(NewSandbox::named("robot").spec(json!({"serviceAccount": "robot"}))).await.unwrap();
    let credentials = json!({"credentials": [{"secretName": "token"}]});
    place.user.create(NewSandbox::named("keyed").spec(credentials)).await.unwrap();

    let failed = place.user.wait_phase("robot", Phase::Error).await.unwrap();
    let message = failed.data["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("Pod creation failed") && message.contains("robot"), "{message}");

    eventually("a ready pod", || async { place.pods().get_opt("keyed-pod").await.unwrap().filter(is_ready) })
        .await;
    assert_eq!(place.user.sandboxes().get("keyed").await.unwrap().data["status"]["phase"], "Creating");
    place.create::<Secret>(json!({"metadata": {"name": "token"}})).await;
    place.user.wait_phase("keyed", Phase::Running).await.unwrap();

    place.create::<ServiceAccount>(json!({"metadata": {"name": "robot"}})).await;
    place.user.resume("robot").await.unwrap();
    place.user.wait_phase("robot", Phase::Running).await.unwrap();
    double.shutdown().await;
}
