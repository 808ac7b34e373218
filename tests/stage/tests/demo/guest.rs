//! The story on a cluster that is somebody's, and what is left of it there: nothing.

use agenttier_backup::api::{BackupPolicy, BackupPolicySpec};
use double::{Double, Options, User};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{conditions, wait::await_condition};
use serde_json::json;
use testbed::{Exit, STORAGE_CLASS, Signal};

use crate::host::Host;
use crate::program::{Demo, after, cell, gives_none_away};

#[tokio::test]
async fn the_story_is_told_elsewhere_and_nothing_of_it_stays() {
    let mut host = Host::with_machines("visited").await;
    let client = host.cluster.client();
    double::install_crds(&client).await.unwrap();
    let people = User::new(client.clone(), "bystander");
    people.create_cluster_template("their-template", json!({})).await.unwrap();
    // For the demo there is no difference to AgentTier itself.
    let agenttier = Double::start(client, Options::default());
    host.remember().await;

    let demo = Demo::start(&host.cluster, "visit", &["--kubeconfig", &host.kubeconfig()]).await;
    // Machines are killed by people.
    demo.says("the hard way:\n     docker kill machine-").await;
    let machine = after(&demo.said(), "docker kill ").to_owned();
    host.power(&machine, false).await;
    let said = demo.ends(Exit::Code(0)).await;
    assert!(after(&said, "s1 on ").starts_with(&format!("{machine} ")), "{said}");
    assert_eq!(cell(&said, "dead node"), machine, "{said}");
    assert!(!cell(&said, "newest recovery point when the node was found dead (RPO)").is_empty());
    assert_eq!(cell(&said, "files compared"), "6, 1048637 bytes, none different");
    assert_eq!(cell(&said, "restored from the newest since"), after(&said, "\n   from "));
    assert!(
        said.contains("AgentTier is installed; the sandboxes follow its template their-template"),
        "{said}"
    );
    assert!(said.contains("nothing of the demo is left"), "with a machine still dead: {said}");
    assert!(
        said.contains("what Velero brings back, is told without --kubeconfig: on clusters of its own."),
        "{said}"
    );
    host.power(&machine, true).await;
    host.is_untouched().await;
    agenttier.shutdown().await;
    host.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_broken_off_story_leaves_nothing() {
    let mut host = Host::start("broken-off").await;
    // A kind of ours that was there before stays.
    let kinds = Api::all(host.cluster.client());
    for kind in agenttier_backup::api::crds() {
        kinds.create(&PostParams::default(), &kind).await.unwrap();
        let name = kind.metadata.name.as_deref().unwrap();
        await_condition(kinds.clone(), name, conditions::is_crd_established()).await.unwrap();
    }
    host.remember().await;
    let kubeconfig = host.kubeconfig();
    let args = ["--kubeconfig", kubeconfig.as_str(), "--with-double"];

    let stopped = Demo::start(&host.cluster, "stopped", &args).await;
    stopped.says("helm: replicas=0").await;
    stopped.process().signal(Signal::Int).await.unwrap();
    let said = stopped.ends(Exit::Code(0)).await;
    assert!(said.contains("nothing of the demo is left"), "{said}");
    host.is_untouched().await;

    // The hardest end, at the worst moment: nothing can be taken away.
    let killed = Demo::start(&host.cluster, "killed", &args).await;
    killed.says("is NotReady").await;
    killed.process().kill().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(host.cluster.client());
    namespaces.get("agenttier-backup-demo").await.expect("a killed demo leaves its things");

    // The next one takes them away first.
    let next = Demo::start(&host.cluster, "next", &args).await;
    let said = next.ends(Exit::Code(0)).await;
    let (begin, story) = said.split_once("AgentTier runs two sandboxes").unwrap();
    for part in [begin, story] {
        assert!(part.contains("lives again") && part.contains("nothing of the demo is left"), "{said}");
    }
    assert_eq!(cell(&said, "files compared"), "6, 1048637 bytes, none different");
    gives_none_away(&said);
    host.is_untouched().await;
    host.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_touched() {
    let mut host = Host::start("missing").await;
    let client = host.cluster.client();
    let kubeconfig = host.kubeconfig();
    let refused = async |name: &str, args: &[&str]| {
        let args = [&["--kubeconfig", kubeconfig.as_str()], args].concat();
        let demo = Demo::start(&host.cluster, name, &args).await;
        let said = demo.ends(Exit::Code(1)).await;
        assert!(said.contains("has not been touched"), "{said}");
        host.is_untouched().await;
        said
    };

    let said = refused("without-agenttier", &[]).await;
    assert!(said.contains("AgentTier is not installed"), "{said}");
    assert!(said.contains("add --with-double"), "and what helps: {said}");

    let kinds = Api::all(client.clone());
    for kind in agenttier_backup::api::crds() {
        kinds.create(&PostParams::default(), &kind).await.unwrap();
        let name = kind.metadata.name.as_deref().unwrap();
        await_condition(kinds.clone(), name, conditions::is_crd_established()).await.unwrap();
    }
    let policies: Api<BackupPolicy> = Api::all(client.clone());
    let gold = BackupPolicy::new("gold", BackupPolicySpec::default());
    policies.create(&PostParams::default(), &gold).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "agenttier-backup-demo"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let classes: Api<StorageClass> = Api::all(client.clone());
    let ordinary =
        json!({"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "false"}}});
    classes.patch(STORAGE_CLASS, &PatchParams::default(), &Patch::Merge(ordinary)).await.unwrap();
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(client.clone());
    for node in ["node-1", "node-2"] {
        nodes.cordon(node).await.unwrap();
    }
    double::install_crds(&client).await.unwrap();
    host.remember().await;

    let demo = Demo::start(&host.cluster, "all-wrong", &["--kubeconfig", &kubeconfig, "--with-double"]).await;
    let said = demo.ends(Exit::Code(1)).await;
    for problem in [
        "1 of 3 nodes can take pods",
        "no StorageClass is the default; there are: dir, dir-wffc",
        "AgentTier cannot be played where it is installed",
        "agenttier-backup is here already: BackupPolicy gold",
        "a namespace agenttier-backup-demo that no demo has made",
    ] {
        assert!(said.contains(problem), "no {problem:?} in\n{said}");
    }
    host.is_untouched().await;

    let nobody = host.cluster.service_account_kubeconfig("bystander", "default").await.unwrap();
    let demo = Demo::start(&host.cluster, "nobody", &["--kubeconfig", &nobody.display().to_string()]).await;
    let said = demo.ends(Exit::Code(1)).await;
    assert!(said.contains("you may not: create namespaces, delete namespaces, list nodes"), "{said}");
    policies.delete("gold", &DeleteParams::default()).await.expect("it was left in peace");
    host.cluster.stop().await.unwrap();
}
