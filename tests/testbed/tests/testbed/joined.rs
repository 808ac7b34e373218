//! Somebody else's cluster, and what is left of us there: nothing.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use testbed::{Cluster, Exit, Fault, client_of, until};

use crate::objects::{LIMIT, bound, create_claim, create_namespace};
use crate::shared_cluster::{shared_cluster, testbed};

/// A file as people have them: certificates beside it, and a second context.
fn kubeconfig(folder: &Path, cluster: &Cluster) -> std::path::PathBuf {
    for file in ["ca.pem", "admin.pem", "admin-key.pem"] {
        fs::copy(cluster.dir().join("pki").join(file), folder.join(file)).unwrap();
    }
    let file = folder.join("config");
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mine",
        "contexts": [
            {"name": "other", "context": {"cluster": "other", "user": "me"}},
            {"name": "mine", "context": {"cluster": "mine", "user": "me"}},
        ],
        "clusters": [
            {"name": "other", "cluster": {"server": "https://127.0.0.1:9"}},
            {"name": "mine", "cluster": {"server": cluster.url(), "certificate-authority": "ca.pem"}},
        ],
        "users": [
            {"name": "me", "user": {"client-certificate": "admin.pem", "client-key": "admin-key.pem"}},
        ],
    });
    fs::write(&file, content.to_string()).unwrap();
    file
}

#[tokio::test]
async fn a_cluster_is_joined_and_left_as_it_is() {
    let ns = "joined";
    let host = shared_cluster(ns).await;
    create_claim(host, ns, "work", json!({})).await;
    bound(host, ns, "work").await;
    let home = tempfile::tempdir().unwrap();
    let file = kubeconfig(home.path(), host);
    let guest = testbed().await.cluster("guest").join(&file).await.unwrap();
    assert!(guest.is_joined() && !host.is_joined());
    assert_eq!(guest.url(), host.url());
    // Somebody turns to another cluster meanwhile.
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("\"mine\"", "\"other\"")).unwrap();

    let namespaces = Api::<Namespace>::all(guest.client());
    namespaces.get(ns).await.expect("a client certificate opens the door");
    let listed = guest.helm(&["list", "--all-namespaces"]).await;
    listed.expect("helm goes there too, not where the file leads to now");
    let volume = guest.volume(ns, "work").await.unwrap();
    assert_eq!(volume.path(), host.volume(ns, "work").await.unwrap().path());

    let accounts = Api::<ServiceAccount>::namespaced(host.client(), ns);
    until("the namespace's ServiceAccount", LIMIT, || async { Ok(accounts.get_opt("default").await?) })
        .await
        .unwrap();
    let kubeconfig = guest.service_account_kubeconfig(ns, "default").await.unwrap();
    let secrets = Api::<Secret>::namespaced(client_of(&kubeconfig).await.unwrap(), ns);
    let refusal = secrets.list(&ListParams::default()).await.unwrap_err().to_string();
    assert!(refusal.contains("system:serviceaccount:joined:default"), "{refusal}");

    let listed = guest.spawn("ls", "ls", &[], &[]).await.unwrap();
    assert_eq!(listed.wait().await.unwrap(), Exit::Code(0));
    let none = guest.process("etcd").unwrap_err().to_string();
    assert!(none.contains("etcd in a cluster that was joined"), "{none}");
    let refused = guest.driver().faults(&[Fault::slow("*", std::time::Duration::ZERO)]).unwrap_err();
    assert!(refused.to_string().contains("joined"), "{refused}");
    assert!(guest.is_played("node-1").await.unwrap());

    let left = guest.dir().to_owned();
    guest.stop().await.unwrap();
    assert!(!left.exists());
    create_namespace(host, "after").await;
    assert_eq!(host.process("etcd").unwrap().exit(), None);
}

#[tokio::test]
async fn a_file_that_leads_nowhere_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    let missing = testbed().await.cluster("guest").join(&file).await.unwrap_err();
    assert!(format!("{missing:#}").contains(&file.display().to_string()), "{missing:#}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let context = json!({
        "current-context": "mine",
        "contexts": [{"name": "mine", "context": {"cluster": "mine", "user": "me"}}],
        "clusters": [{"name": "mine", "cluster": {"server": format!("http://{nobody}")}}],
    });
    fs::write(&file, context.to_string()).unwrap();
    let deaf = testbed().await.cluster("guest").join(&file).await.unwrap_err();
    assert!(format!("{deaf:#}").contains(&format!("{nobody}, which")), "{deaf:#}");

    fs::write(
        &file,
        context.to_string().replace("\"current-context\":\"mine\"", "\"current-context\":\"x\""),
    )
    .unwrap();
    let lost = testbed().await.cluster("guest").join(&file).await.unwrap_err();
    assert!(format!("{lost:#}").contains("the context x has no entry"), "{lost:#}");
}
