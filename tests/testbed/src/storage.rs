//! Volumes and snapshots: the classes, the driver and its sidecars.

use anyhow::Result;
use serde_json::json;
use tokio::net::UnixStream;

use crate::cluster::Cluster;
use crate::control_plane::alive_until;
use crate::driver::{self, DRIVER};
use crate::process::Process;

/// The default StorageClass: binds at once, deletes with the claim.
pub const STORAGE_CLASS: &str = "dir";
/// A StorageClass that binds when a pod that uses the claim is scheduled.
pub const WAITING_STORAGE_CLASS: &str = "dir-wffc";
/// The default VolumeSnapshotClass: deletes with the snapshot.
pub const SNAPSHOT_CLASS: &str = "dir";

impl Cluster {
    pub(crate) async fn start_storage(&self) -> Result<()> {
        let snapshots = async {
            // What they lose when the API server dies is looked at again after this; 15 min by default.
            let own = vec!["--worker-threads=20".to_owned(), "--resync-period=1m".to_owned()];
            let args = [self.generous_client(), own].concat();
            self.start_component("snapshot-controller", args.clone()).await?;
            let socket = format!("--csi-address={}", self.driver_socket().display());
            self.start_component("csi-snapshotter", [args, vec![socket]].concat()).await?;
            self.create_classes().await
        };
        let driver = async {
            let process = self.start_driver().await?;
            self.driver_answers(&process).await?;
            let socket = format!("--csi-address={}", self.driver_socket().display());
            let own = vec![socket, "--extra-create-metadata".to_owned()];
            self.start_component("csi-provisioner", [self.generous_client(), own].concat()).await
        };
        tokio::try_join!(snapshots, driver)?;
        Ok(())
    }

    /// The sidecars' own limit of 5 requests a second would set the pace of tests.
    fn generous_client(&self) -> Vec<String> {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig().display());
        vec![kubeconfig, "--kube-api-qps=200".to_owned(), "--kube-api-burst=400".to_owned()]
    }

    async fn start_driver(&self) -> Result<Process> {
        let args = vec![
            format!("--endpoint=unix://{}", self.driver_socket().display()),
            format!("--root={}", self.driver_root().display()),
            format!("--name={DRIVER}"),
            format!("--node-id={}", self.name()),
            format!("--faults={}", self.faults_file().display()),
        ];
        self.start_component(driver::PROCESS, args).await
    }

    pub(crate) async fn driver_answers(&self, process: &Process) -> Result<()> {
        let socket = self.driver_socket();
        alive_until(process, "the CSI driver to accept connections", || {
            let socket = socket.clone();
            async move { Ok(UnixStream::connect(socket).await.ok().map(drop)) }
        })
        .await
    }

    async fn create_classes(&self) -> Result<()> {
        let storage_class = |name: &str, mode: &str, is_default: &str| {
            let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default});
            json!({
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": name, "annotations": annotations},
                "provisioner": DRIVER,
                "reclaimPolicy": "Delete",
                "volumeBindingMode": mode,
            })
        };
        let driver = json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": DRIVER},
            "spec": {"attachRequired": false, "podInfoOnMount": false},
        });
        let snapshot_class = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshotClass",
            "metadata": {
                "name": SNAPSHOT_CLASS,
                "annotations": {"snapshot.storage.kubernetes.io/is-default-class": "true"},
            },
            "driver": DRIVER,
            "deletionPolicy": "Delete",
        });
        for object in [
            driver,
            storage_class(STORAGE_CLASS, "Immediate", "true"),
            storage_class(WAITING_STORAGE_CLASS, "WaitForFirstConsumer", "false"),
            snapshot_class,
        ] {
            self.create(object).await?;
        }
        Ok(())
    }
}
