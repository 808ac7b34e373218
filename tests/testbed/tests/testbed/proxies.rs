//! A proxy counts writes and cuts in.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::json;
use testbed::{Cluster, Point, Proxy, Signal, Then, client_of};

use crate::objects::LIMIT;
use crate::shared_cluster::shared_cluster;

async fn admin_through(cluster: &Cluster, proxy: &Proxy, namespace: &str) -> Client {
    let name = "admin";
    let account = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client(), namespace);
    accounts.create(&PostParams::default(), &account).await.unwrap();
    crate::identities::bind(cluster, namespace, name, "cluster-admin").await;
    // Past the proxy, which counts.
    let direct = cluster.service_account_kubeconfig(namespace, name).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(client_of(&direct).await.unwrap(), namespace);
    testbed::until("the role to take effect", LIMIT, || async {
        Ok(maps.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();
    let token = cluster.service_account_token(namespace, name).await.unwrap();
    client_of(&proxy.kubeconfig(&token).unwrap()).await.unwrap()
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

#[tokio::test]
async fn writes_are_counted_and_watches_stream() {
    let ns = "counted";
    let cluster = shared_cluster(ns).await;
    let proxy = cluster.proxy().await.unwrap();
    let client = admin_through(cluster, &proxy, ns).await;
    let maps = Api::<ConfigMap>::namespaced(client, ns);

    let params = WatchParams::default().fields("metadata.name=a").disable_bookmarks();
    let mut watch = maps.watch(&params, "0").await.unwrap().boxed();
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    let change = Patch::Merge(json!({"data": {"k": "v"}}));
    maps.patch("a", &PatchParams::default(), &change).await.unwrap();
    maps.get("a").await.unwrap();
    let events = async {
        let added = watch.try_next().await.unwrap().unwrap();
        let modified = watch.try_next().await.unwrap().unwrap();
        assert!(matches!(added, WatchEvent::Added(_)), "{added:?}");
        assert!(matches!(modified, WatchEvent::Modified(_)), "{modified:?}");
    };
    tokio::time::timeout(LIMIT, events).await.expect("a watch through the proxy streams");

    let writes = proxy.writes().iter().map(ToString::to_string).collect::<Vec<_>>();
    let path = format!("/api/v1/namespaces/{ns}/configmaps");
    assert_eq!(writes, [format!("POST {path}?"), format!("PATCH {path}/a?")]);
    assert_eq!(proxy.requests()["GET"], 2, "a watch and a read");
}

#[tokio::test]
async fn a_write_is_held_lost_before_or_lost_after() {
    let ns = "cut";
    let cluster = shared_cluster(ns).await;
    let proxy = cluster.proxy().await.unwrap();
    let client = admin_through(cluster, &proxy, ns).await;
    let through = Api::<ConfigMap>::namespaced(client, ns);
    let direct = Api::<ConfigMap>::namespaced(cluster.client(), ns);

    let mut cut = proxy.drop_connection(Point::before(1));
    through.create(&PostParams::default(), &map("before")).await.expect_err("its connection is cut");
    assert!(direct.get_opt("before").await.unwrap().is_none(), "the API server has never seen it");
    assert_eq!(cut.reached().await.unwrap().method, "POST");

    proxy.drop_connection(Point::after(2).of(|write| write.path.contains("configmaps")));
    through.create(&PostParams::default(), &map("first")).await.unwrap();
    through.create(&PostParams::default(), &map("after")).await.expect_err("its answer is lost");
    assert!(direct.get_opt("after").await.unwrap().is_some(), "but it is done");

    let mut held = proxy.hold(Point::before(1));
    let (slow, name) = (through.clone(), "held");
    let writer = tokio::spawn(async move { slow.create(&PostParams::default(), &map(name)).await });
    tokio::time::timeout(LIMIT, held.reached()).await.unwrap().unwrap();
    assert!(direct.get_opt(name).await.unwrap().is_none());
    held.release();
    tokio::time::timeout(LIMIT, writer).await.unwrap().unwrap().unwrap();
    assert!(direct.get_opt(name).await.unwrap().is_some());

    let process = cluster.spawn("victim", "sleep", &["1000"], &[]).await.unwrap();
    let victim = process.clone();
    let mut cut = proxy.call(Point::after(1), |_| async move {
        victim.signal(Signal::Kill).await.unwrap();
        Then::Pass
    });
    through.create(&PostParams::default(), &map("deadly")).await.unwrap();
    cut.reached().await.unwrap();
    assert_eq!(tokio::time::timeout(LIMIT, process.wait()).await.unwrap().unwrap().to_string(), "SIGKILL");
}
