//! Velero beside a cluster: its server as a process, its objects in the cluster.

use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::Api;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::components::{VELERO, VELERO_PLUGIN};
use crate::control_plane::{PATIENCE, alive_until};
use crate::object_store::ObjectStore;
use crate::process::Process;
use crate::progress::Console;
use crate::supervisor::Launch;
use crate::wait::until;

/// The namespace that Velero lives in unless a plan says another one.
pub const VELERO_NAMESPACE: &str = "velero";

/// The names of the server's process, and of the Deployment that it has in real
/// installations.
const SERVER: &str = "velero";
const LOCATION: &str = "default";
const SECRET: &str = "cloud-credentials";
const SECRET_KEY: &str = "cloud";

/// The server looks at things often enough for tests. What is fixed in it stays
/// slow: schedules and backups of other clusters are looked for once a minute,
/// a location's availability every 10 s.
const QUICK: [&str; 4] = [
    "--store-validation-frequency=1s",
    "--backup-sync-period=1s",
    "--garbage-collection-frequency=10s",
    "--item-operation-sync-frequency=1s",
];

/// What a Velero is to be like.
#[derive(Debug, Clone)]
pub struct VeleroPlan {
    namespace: String,
    location: Value,
    credentials: String,
    arguments: Vec<String>,
}

/// Velero beside a cluster, by [`Cluster::velero`]. Its server is the cluster's
/// process `velero`: [`Cluster::kill`], [`Cluster::freeze`] and
/// [`Cluster::restart`] are for it as well. There is one per cluster.
///
/// It has all rights in its cluster, as a real one has. There is no node-agent:
/// what Velero does in pods on nodes (moving the data of snapshots, backups of
/// file systems) does not happen.
#[derive(Debug, Clone)]
pub struct Velero<'a> {
    cluster: &'a Cluster,
    plan: VeleroPlan,
}

impl VeleroPlan {
    /// Backups go to this bucket, in the BackupStorageLocation `default`.
    #[must_use]
    pub fn new(store: &ObjectStore, bucket: &str) -> Self {
        let location = json!({
            "provider": "aws",
            "default": true,
            "objectStorage": {"bucket": bucket},
            "config": {
                "region": "testbed",
                "s3Url": store.url(),
                "s3ForcePathStyle": "true",
                // What the plugin adds by itself takes TLS.
                "checksumAlgorithm": "",
            },
        });
        let credentials = format!(
            "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
            store.access_key(),
            store.secret_key()
        );
        Self { namespace: VELERO_NAMESPACE.to_owned(), location, credentials, arguments: Vec::new() }
    }

    /// Backups lie under this folder of the bucket. Clusters that share bucket
    /// and prefix see each other's backups.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.location["objectStorage"]["prefix"] = prefix.into();
        self
    }

    /// Velero lives in this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// One more argument of the server, as `--flag=value`; it overrides ours.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }
}

impl Cluster {
    /// Velero beside this cluster. Nothing happens until its methods are called.
    #[must_use]
    pub fn velero(&self, plan: VeleroPlan) -> Velero<'_> {
        Velero { cluster: self, plan }
    }
}

impl Velero<'_> {
    /// Does all of the steps below, and waits until the location is available.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn install(&self) -> Result<()> {
        let objects = async {
            self.install_crds().await?;
            self.create_namespace().await?;
            self.create_location().await?;
            self.create_deployment().await
        };
        objects.await.context("install Velero")?;
        self.start_server().await?;
        self.is_available().await
    }

    /// Makes the CRDs that Velero publishes.
    ///
    /// # Errors
    /// When one is there already.
    pub async fn install_crds(&self) -> Result<()> {
        self.cluster.install_crds(self.cluster.toolbox.on_demand.velero_crds().await?).await
    }

    /// Makes Velero's namespace.
    ///
    /// # Errors
    /// When it is there already.
    pub async fn create_namespace(&self) -> Result<()> {
        let name = &self.plan.namespace;
        self.cluster
            .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await
    }

    /// Makes the BackupStorageLocation `default`, and the Secret
    /// `cloud-credentials`, whose content the server finds in a file, as where
    /// it is mounted into a pod. The location does not name the Secret: then the
    /// server would write that file anew for each use, while another one reads it.
    ///
    /// # Errors
    /// When the CRDs or the namespace are not there.
    pub async fn create_location(&self) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self.metadata(SECRET),
            "stringData": {SECRET_KEY: self.plan.credentials},
        });
        let location = json!({
            "apiVersion": "velero.io/v1",
            "kind": "BackupStorageLocation",
            "metadata": self.metadata(LOCATION),
            "spec": self.plan.location,
        });
        self.cluster.create(secret).await?;
        self.cluster.create(location).await
    }

    /// Makes the Deployment `velero`, without a replica: restores look it up,
    /// and the image's tag tells people and programs the version.
    ///
    /// # Errors
    /// When the namespace is not there.
    pub async fn create_deployment(&self) -> Result<()> {
        self.create_deployment_of(&format!("velero/velero:{}", version())).await
    }

    /// The same of an image that may be of another version than the server that is started here.
    ///
    /// # Errors
    /// When the namespace is not there.
    pub async fn create_deployment_of(&self, image: &str) -> Result<()> {
        let labels = json!({"component": "velero", "deploy": "velero"});
        let container = json!({
            "name": "velero",
            "image": image,
            "command": ["/velero"],
            "args": ["server", "--features=EnableCSI"],
        });
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.metadata(SERVER),
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        });
        self.cluster.create(deployment).await
    }

    /// Starts the server, and waits until it answers. Builds it first where
    /// [`crate::Testbed::build_velero`] has not.
    ///
    /// # Errors
    /// When the CRDs or the namespace are not there, or the build fails.
    pub async fn start_server(&self) -> Result<()> {
        let binaries = self.cluster.toolbox.on_demand.velero(&Console::default()).await?;
        let [plugins, temporary, home] = ["plugins", "tmp", "home"].map(|name| self.folder(name));
        for folder in [&plugins, &temporary, &home] {
            std::fs::create_dir_all(folder)?;
        }
        // Alone in its folder, since the server takes everything there for a plugin.
        let plugin = plugins.join(VELERO_PLUGIN.name);
        if !plugin.exists() {
            std::os::unix::fs::symlink(&binaries.plugin, plugin)?;
        }
        let credentials = self.folder(SECRET);
        std::fs::write(&credentials, &self.plan.credentials)?;
        let mut args = vec![
            "server".to_owned(),
            format!("--kubeconfig={}", self.cluster.kubeconfig().display()),
            format!("--namespace={}", self.plan.namespace),
            "--features=EnableCSI".to_owned(),
            format!("--plugin-dir={}", plugins.display()),
            // Nobody asks for them; any free port.
            "--metrics-address=127.0.0.1:0".to_owned(),
            "--profiler-address=".to_owned(),
        ];
        args.extend(QUICK.map(str::to_owned));
        args.extend(self.plan.arguments.clone());
        let env = [
            ("AWS_SHARED_CREDENTIALS_FILE", credentials.display().to_string()),
            // Without credentials it would look for a cloud around this machine.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            // The server leaves archives here, which servers must not share.
            ("TMPDIR", temporary.display().to_string()),
            // Neither the settings of a person's `velero` nor those of their `aws`.
            ("HOME", home.display().to_string()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        let path = binaries.server.clone();
        let launch = Launch { path, args, env: env.to_vec(), cwd: self.cluster.dir().to_owned() };
        self.cluster.launch(SERVER, launch).await?;
        self.answers().await.map(drop)
    }

    /// Waits until the server answers, as after a restart, and gives the
    /// version that it says it is, such as `v1.18.3`.
    ///
    /// # Errors
    /// When it ends, with the end of its log, or does not answer for some minutes.
    pub async fn answers(&self) -> Result<String> {
        let name = format!("testbed-{}", uuid::Uuid::new_v4().simple());
        let request = json!({
            "apiVersion": "velero.io/v1",
            "kind": "ServerStatusRequest",
            "metadata": self.metadata(&name),
            "spec": {},
        });
        self.cluster.create(request).await?;
        let requests = self.objects("ServerStatusRequest");
        let version = alive_until(&self.process()?, "Velero's server to answer", || async {
            let request = requests.get(&name).await?;
            let status = &request.data["status"];
            let version = status["serverVersion"].as_str().map(str::to_owned);
            Ok(version.filter(|_| status["phase"] == "Processed"))
        })
        .await?;
        match requests.delete(&name, &kube::api::DeleteParams::default()).await {
            // The server itself takes away what it has answered, a minute later.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            deleted => drop(deleted?),
        }
        Ok(version)
    }

    /// Waits until the server has found its location available.
    ///
    /// # Errors
    /// When it has not after some minutes; what it says of the location instead.
    pub async fn is_available(&self) -> Result<()> {
        let locations = self.objects("BackupStorageLocation");
        let status = async || {
            let location = locations.get(LOCATION).await?;
            anyhow::Ok(location.data.get("status").cloned().unwrap_or_default())
        };
        let waited = until("Velero's location to be available", PATIENCE, || async {
            Ok((status().await?["phase"] == "Available").then_some(()))
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("its status is {}", status().await?))),
        }
    }

    /// Lets the server look for backups of other clusters now, and not when its
    /// minute is over: restarts it, since it does that as it starts. Whatever it
    /// was at fails. The location has to be available.
    ///
    /// # Errors
    /// When the server does not come up.
    pub async fn sync(&self) -> Result<()> {
        self.cluster.restart(SERVER).await?;
        self.answers().await.map(drop)
    }

    /// The server's process.
    ///
    /// # Errors
    /// When it has not been started.
    pub fn process(&self) -> Result<Process> {
        self.cluster.process(SERVER)
    }

    /// The namespace that it lives in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.plan.namespace
    }

    /// Its objects of a kind of `velero.io/v1`, such as `Backup`.
    #[must_use]
    pub fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("velero.io", "v1", kind));
        Api::namespaced_with(self.cluster.client(), &self.plan.namespace, &resource)
    }

    fn metadata(&self, name: &str) -> Value {
        json!({"name": name, "namespace": self.plan.namespace})
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.cluster.dir().join("velero").join(name)
    }
}

/// The version of the server, as its images are tagged.
fn version() -> String {
    let [major, minor, patch] = VELERO.version();
    format!("v{major}.{minor}.{patch}")
}
