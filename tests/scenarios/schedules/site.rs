//! A cluster with a real Velero beside the product.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use ::velero::{Backup, Schedule};
use agenttier_backup::api::{BackupPolicy, BackupPolicySpec, VeleroSpec};
use double::{NewSandbox, Options, Phase, User};
use flate2::read::GzDecoder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use serde_json::json;
use stage::{Cast, Stage};
use testbed::progress::Console;
use testbed::{ClusterPlan, ObjectStore, Proxy, Testbed, VELERO_NAMESPACE, Velero, VeleroPlan};

use crate::place::{PATIENCE, TEMPLATE, eventually};

/// The bucket of the backups.
pub(super) const BUCKET: &str = "backups";
/// What the cluster is called.
pub(super) const CLUSTER: &str = "east";
/// The controller's own words for it.
const ARGS: [&str; 5] =
    ["--velero-namespace", VELERO_NAMESPACE, "--cluster-name", CLUSTER, "--read-backup-errors"];
/// The chart's.
pub(super) const VALUES: [&str; 2] =
    ["optional.backup.velero.enabled=true", "optional.backup.velero.clusterName=east"];

/// A stage, an object store, and a Velero that there may be.
pub(super) struct Site {
    pub(super) stage: Stage,
    pub(super) store: Arc<ObjectStore>,
}

impl Site {
    /// Without Velero and without the chart's rights in its namespace.
    pub(super) async fn bare(name: &str, agenttier: Options) -> Self {
        let testbed = Testbed::prepare(&Console::default()).await.unwrap();
        Self::dressed(&testbed, testbed.cluster(name), agenttier).await
    }

    /// With both, on nodes that really run the commands of Velero's hooks.
    pub(super) async fn with_hooks(name: &str) -> Self {
        let testbed = Testbed::prepare(&Console::default()).await.unwrap();
        let site = Self::dressed(&testbed, testbed.cluster(name).pods_execute(), Options::default()).await;
        site.install_velero().await;
        site
    }

    async fn dressed(testbed: &Testbed, cluster: ClusterPlan, agenttier: Options) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_agenttier-backup"));
        let cluster = cluster.nodes(2).start().await.unwrap();
        let stage = Stage::set_on(cluster, Cast { program, nodes: 2, agenttier }).await.unwrap();
        let store = Arc::new(testbed.object_store().await.unwrap());
        store.make_bucket(BUCKET).unwrap();
        let site = Self { stage, store };
        site.user("default").create_cluster_template(TEMPLATE, json!({})).await.unwrap();
        site
    }

    /// Another cluster, with both, whose Velero uses the same bucket.
    pub(super) async fn beside(&self, name: &str) -> Self {
        let testbed = Testbed::prepare(&Console::default()).await.unwrap();
        let there = Self::dressed(&testbed, testbed.cluster(name), Options::default()).await;
        let site = Self { store: Arc::clone(&self.store), ..there };
        site.install_velero().await;
        site
    }

    async fn install_velero(&self) {
        self.velero().install().await.unwrap();
        self.stage.install(&VALUES).await.unwrap();
    }

    /// With both.
    pub(super) async fn set(name: &str, agenttier: Options) -> Self {
        let site = Self::bare(name, agenttier).await;
        site.install_velero().await;
        site
    }

    pub(super) fn velero(&self) -> Velero<'_> {
        self.stage.cluster.velero(VeleroPlan::new(&self.store, BUCKET))
    }

    pub(super) async fn start_controller(&self) {
        self.stage.start_controller(&ARGS).await.unwrap();
    }

    /// The controller, chosen by its Lease as in the chart, and the proxy that shows what it writes.
    pub(super) async fn start_controller_behind_a_proxy(&self) -> Proxy {
        let proxy = self.stage.cluster.proxy().await.unwrap();
        let release = self.stage.release();
        let token = self.stage.cluster.service_account_token(release, release).await.unwrap();
        let kubeconfig = proxy.kubeconfig(&token).unwrap();
        let lease = format!("{release}/{release}-controller-leader");
        let args = [&ARGS[..], &["--lease", &lease]].concat();
        self.stage.start_controller_as(&kubeconfig, &args).await.unwrap();
        proxy
    }

    pub(super) fn user(&self, namespace: &str) -> User {
        User::new(self.stage.client.clone(), namespace).patience(PATIENCE)
    }

    /// Makes a namespace with one Sandbox that runs.
    pub(super) async fn team(&self, namespace: &str) {
        self.stage.namespace(namespace).await.unwrap();
        self.sandbox(namespace, "s1").await;
    }

    pub(super) async fn sandbox(&self, namespace: &str, name: &str) {
        let user = self.user(namespace);
        user.create(NewSandbox::named(name).cluster_template(TEMPLATE)).await.unwrap();
        user.wait_phase(name, Phase::Running).await.unwrap();
    }

    /// Writes the policy `stage` for all namespaces, with Layer 2 as given and Layer 1 off.
    pub(super) async fn policy(&self, velero: VeleroSpec) {
        let mut spec = BackupPolicySpec { priority: 10, velero, ..BackupPolicySpec::default() };
        spec.snapshots.enabled = false;
        self.stage.write_policy(&BackupPolicy::new("stage", spec)).await.unwrap();
    }

    /// What the policy says of Layer 2, once it says this.
    pub(super) async fn told(&self, reason: &str) -> Condition {
        self.told_with(reason, "").await
    }

    /// The same, once these words are in it.
    pub(super) async fn told_with(&self, reason: &str, words: &str) -> Condition {
        let policies = Api::<BackupPolicy>::all(self.stage.client.clone());
        eventually(&format!("VeleroReady to be told with {reason}"), || async {
            let status = policies.get("stage").await?.status.unwrap_or_default();
            let told = status.conditions.into_iter().find(|condition| condition.type_ == "VeleroReady");
            Ok(told.filter(|told| told.reason == reason && told.message.contains(words)))
        })
        .await
    }

    pub(super) fn schedules(&self) -> Api<Schedule> {
        Api::namespaced(self.stage.client.clone(), VELERO_NAMESPACE)
    }

    pub(super) fn backups(&self) -> Api<Backup> {
        Api::namespaced(self.stage.client.clone(), VELERO_NAMESPACE)
    }
}

/// Backups every minute.
pub(super) fn every_minute() -> VeleroSpec {
    VeleroSpec { enabled: true, cron: "@every 1m".into(), ttl: "1h".into(), ..VeleroSpec::default() }
}

/// A file of a backup in the store, uncompressed.
fn stored(site: &Site, backup: &str, end: &str) -> Vec<u8> {
    let file = site.store.bucket(BUCKET).join("backups").join(backup).join(format!("{backup}{end}"));
    let mut content = Vec::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut content).unwrap();
    content
}

/// What a backup in the store says that it holds: names by kind, as `namespace/name` or `name`.
pub(super) fn held(site: &Site, backup: &str) -> BTreeMap<String, Vec<String>> {
    serde_json::from_slice(&stored(site, backup, "-resource-list.json.gz")).unwrap()
}

/// All objects that a backup in the store holds, as one archive.
pub(super) fn archive(site: &Site, backup: &str) -> Vec<u8> {
    stored(site, backup, ".tar.gz")
}
