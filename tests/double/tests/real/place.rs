//! Where the tests play: one cluster for all of them, a namespace and a double for each.

use std::{
    fmt::Debug,
    sync::LazyLock,
    time::{Duration, Instant},
};

use double::{Double, NewSandbox, Options, User, WarmPool};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, ListParams, ObjectList, PostParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testbed::{Cluster, STORAGE_CLASS, Testbed, progress::Console};
use tokio::runtime::Runtime;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// The cluster and the runtime that its processes are watched from; both outlive every test.
static CLUSTER: LazyLock<(Runtime, Cluster)> = LazyLock::new(|| {
    // A test's own runtime does not let another one block inside it.
    std::thread::spawn(|| {
        let runtime = Runtime::new().expect("a runtime");
        let cluster = runtime.block_on(cluster("double"));
        (runtime, cluster)
    })
    .join()
    .expect("the shared cluster starts")
});

/// A cluster with two nodes and AgentTier's CRDs.
pub(crate) async fn cluster(name: &str) -> Cluster {
    let testbed = Testbed::prepare(&Console::default()).await.expect("the testbed's components");
    let cluster = testbed.cluster(name).nodes(2).start().await.expect("a cluster");
    double::install_crds(&cluster.client()).await.expect("AgentTier's CRDs");
    cluster
}

/// A namespace to play in.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) user: User,
}

impl Place {
    /// A namespace of the shared cluster.
    pub(crate) async fn shared(namespace: &str) -> Self {
        Self::on(CLUSTER.1.client(), namespace).await
    }

    pub(crate) async fn on(client: Client, namespace: &str) -> Self {
        let manifest: Namespace = from(json!({"metadata": {"name": namespace}}));
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &manifest).await.unwrap();
        let user = User::new(client.clone(), namespace).patience(PATIENCE);
        Self { client, namespace: namespace.into(), user }
    }

    /// A double of this namespace alone that rebuilds lost pods without much delay.
    pub(crate) fn options(&self) -> Options {
        Options {
            namespace: Some(self.namespace.clone()),
            restart_backoff: Duration::from_millis(100),
            ..Options::default()
        }
    }

    pub(crate) fn double(&self) -> Double {
        Double::start(self.client.clone(), self.options())
    }

    /// A pool for a `ClusterSandboxTemplate` that has the namespace's name.
    pub(crate) fn pool(&self, size: usize) -> WarmPool {
        WarmPool {
            storage_class: STORAGE_CLASS.into(),
            interval: Duration::from_millis(200),
            ..WarmPool::new(&self.namespace, &self.namespace, size)
        }
    }

    pub(crate) fn double_with(&self, pool: WarmPool) -> Double {
        Double::start(self.client.clone(), Options { warm_pool: Some(pool), ..self.options() })
    }

    /// The template that the pool is for.
    pub(crate) async fn pooled_template(&self) {
        let spec = json!({"storage": {"size": "1Gi"}});
        self.user.create_cluster_template(&self.namespace, spec).await.unwrap();
    }

    /// A Sandbox of the pool's template.
    pub(crate) fn sandbox(&self, name: &str) -> NewSandbox {
        NewSandbox::named(name).cluster_template(&self.namespace)
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        self.api()
    }

    pub(crate) fn claims(&self) -> Api<PersistentVolumeClaim> {
        self.api()
    }

    pub(crate) fn snapshots(&self) -> Api<DynamicObject> {
        let gvk = kube::api::GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshot");
        let kind = kube::api::ApiResource::from_gvk(&gvk);
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    pub(crate) async fn create<K>(&self, manifest: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
        K: DeserializeOwned + Clone + Debug + serde::Serialize,
    {
        self.api::<K>().create(&PostParams::default(), &from(manifest)).await.unwrap()
    }

    /// The pool's pods that are Ready, once there are so many.
    pub(crate) async fn ready_pool(&self, size: usize) -> ObjectList<Pod> {
        let labels = format!("agenttier.io/pooled=true,agenttier.io/pool-template={}", self.namespace);
        let pooled = ListParams::default().labels(&labels);
        eventually("a ready pool", || async {
            let pods = self.pods().list(&pooled).await.unwrap();
            (pods.items.iter().filter(|pod| is_ready(pod)).count() == size).then_some(pods)
        })
        .await
    }
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(crate) fn from<K: DeserializeOwned>(manifest: Value) -> K {
    serde_json::from_value(manifest).expect("a manifest of its kind")
}

/// Looks until there is a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not there after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
