//! Where the chart is installed.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use testbed::progress::Console;
use testbed::{Cluster, Testbed};
use tokio::runtime::Runtime;

/// The release, its namespace and its ServiceAccount.
pub(super) const RELEASE: &str = "agenttier-backup";

/// A folder of the repository.
pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A cluster without nodes, with AgentTier's CRDs and an empty namespace for the release that lets nothing but
/// restricted pods in.
pub(super) async fn cluster(name: &str) -> Cluster {
    let testbed = Testbed::prepare(&Console::default()).await.unwrap();
    let cluster = testbed.cluster(name).start().await.unwrap();
    double::install_crds(&cluster.client()).await.unwrap();
    namespace(&cluster.client(), RELEASE).await;
    cluster
}

pub(super) async fn namespace(client: &Client, name: &str) {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let namespace =
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
}

/// Installs or upgrades the release. Without the Job before an upgrade, which nobody runs here.
pub(super) async fn install(cluster: &Cluster, more: &[&str]) -> anyhow::Result<String> {
    install_with_job(cluster, &[&["--set", "crds.upgrade=false"], more].concat()).await
}

/// The same with the Job before an upgrade, which somebody has to run.
pub(super) async fn install_with_job(cluster: &Cluster, more: &[&str]) -> anyhow::Result<String> {
    let chart = folder("chart").display().to_string();
    let args = [&["upgrade", "--install", RELEASE, &chart, "-n", RELEASE], more].concat();
    cluster.helm(&args).await
}

/// A cluster with the release in it, for tests that leave both as they are, and the runtime that its processes
/// are watched from.
static INSTALLED: LazyLock<(Runtime, Cluster)> = LazyLock::new(|| {
    // A test's own runtime does not let another one block inside it.
    let start = || {
        let runtime = Runtime::new().unwrap();
        let cluster = runtime.block_on(async {
            let cluster = cluster("chart-installed").await;
            install(&cluster, &[]).await.unwrap();
            cluster
        });
        (runtime, cluster)
    };
    std::thread::spawn(start).join().expect("the cluster comes up")
});

/// The cluster that has the release in it already.
pub(super) fn installed() -> &'static Cluster {
    &INSTALLED.1
}
