//! Where scenarios take place.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use double::{Options, User, WarmPool};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use stage::{Cast, NAMESPACE, Rhythm, Stage};
use testbed::progress::Console;
use testbed::{STORAGE_CLASS, Testbed};

/// The namespace of the sandboxes.
pub(crate) const TEAM: &str = "team-a";
/// The template of the sandboxes, and of the warm pool.
pub(crate) const TEMPLATE: &str = "general";
/// Long enough for everything on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// One point is due, and no slot ends while a test runs.
pub(crate) const ONCE: Rhythm = Rhythm { interval: "3650d", max_age: "7300d", keep_last: 1 };

/// A stage with a node, the namespace [`TEAM`] and the template in it.
pub(crate) async fn stage(name: &str) -> Stage {
    stage_with(name, Options::default()).await
}

/// The same, with AgentTier set up in a certain way.
pub(crate) async fn stage_with(name: &str, agenttier: Options) -> Stage {
    let testbed = Testbed::prepare(&Console::default()).await.unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_agenttier-backup"));
    let stage = Stage::set(&testbed, name, Cast { program, nodes: 2, agenttier }).await.unwrap();
    stage.namespace(TEAM).await.unwrap();
    user(&stage).create_cluster_template(TEMPLATE, json!({})).await.unwrap();
    stage
}

/// A warm pool of empty volumes beside the sandboxes.
pub(crate) fn with_pool(size: usize) -> Options {
    let pool = WarmPool {
        storage_class: STORAGE_CLASS.into(),
        interval: Duration::from_millis(200),
        ..WarmPool::new(TEAM, TEMPLATE, size)
    };
    Options { warm_pool: Some(pool), ..Options::default() }
}

/// Waits until so many pods of the warm pool can be given away.
pub(crate) async fn pool_is_ready(stage: &Stage, pods: usize) {
    let all: Api<Pod> = Api::namespaced(stage.client.clone(), TEAM);
    eventually("ready pods of the pool", || async {
        let pooled = all.list(&ListParams::default().labels("agenttier.io/pooled=true")).await?.items;
        Ok((pooled.iter().filter(|pod| is_ready(pod)).count() >= pods).then_some(()))
    })
    .await;
}

fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the API server lets a ServiceAccount, `namespace:name`, do something. What is granted, or taken away, is in
/// force a moment later.
pub(crate) async fn may(stage: &Stage, account: &str, attributes: Value) -> anyhow::Result<bool> {
    let review = json!({
        "metadata": {},
        "spec": { "user": format!("system:serviceaccount:{account}"), "resourceAttributes": attributes },
    });
    let review: SubjectAccessReview = serde_json::from_value(review)?;
    let reviews: Api<SubjectAccessReview> = Api::all(stage.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Waits until the API server refuses it to the controller.
pub(crate) async fn controller_may_not(stage: &Stage, verb: &str, resource: &str, group: &str) {
    let account = format!("{NAMESPACE}:{NAMESPACE}");
    eventually(&format!("the controller may not {verb} {resource}"), || async {
        let attributes = json!({ "verb": verb, "resource": resource, "group": group });
        Ok((!may(stage, &account, attributes).await?).then_some(()))
    })
    .await;
}

/// Somebody who works in [`TEAM`].
pub(crate) fn user(stage: &Stage) -> User {
    User::new(stage.client.clone(), TEAM).patience(PATIENCE)
}

/// Makes a claim that is a managed workspace, without a Sandbox.
pub(crate) async fn workspace(stage: &Stage, name: &str, class: &str) {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "agenttier.io/managed": "true" } },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "resources": { "requests": { "storage": "1Gi" } },
        },
    }))
    .unwrap();
    claims(stage).create(&PostParams::default(), &claim).await.unwrap();
}

/// The claims of [`TEAM`].
pub(crate) fn claims(stage: &Stage) -> Api<PersistentVolumeClaim> {
    Api::namespaced(stage.client.clone(), TEAM)
}

/// Waits until `check` gives a value.
pub(crate) async fn eventually<T, F, Fut>(what: &str, check: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Option<T>>>,
{
    testbed::until(what, PATIENCE, check).await.unwrap()
}

/// The same for things that are odd: waits until `look` finds none, and otherwise says which were left.
pub(crate) async fn nothing_odd<F, Fut>(what: &str, mut look: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Vec<String>>>,
{
    let last = RefCell::default();
    let waited = testbed::until(what, PATIENCE, || {
        let looking = look();
        async {
            let odd = looking.await?;
            let none = odd.is_empty().then_some(());
            last.replace(odd);
            Ok(none)
        }
    });
    if let Err(error) = waited.await {
        panic!("{error:#}: {:#?}", last.into_inner());
    }
}
