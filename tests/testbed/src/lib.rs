//! A real Kubernetes control plane with real CSI snapshots, as plain processes.
//!
//! No container engine and no kubelet: etcd, kube-apiserver,
//! kube-controller-manager, kube-scheduler, snapshot-controller, the CSI
//! sidecars and a CSI driver whose volumes are directories run as processes on
//! loopback ports; kwok plays the nodes. Velero's server and an S3 object store
//! join them where a test asks for them. All of it is built once per machine
//! from Go modules.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use testbed::{Testbed, progress::Console};
//!
//! let testbed = Testbed::prepare(&Console::default()).await?;
//! let cluster = testbed.cluster("east").nodes(2).start().await?;
//! println!("KUBECONFIG={}", cluster.kubeconfig().display());
//! cluster.kill_node("node-1").await?;
//! cluster.stop().await
//! # }
//! ```
//!
//! With Velero, whose build goes on while something else happens:
//!
//! ```no_run
//! # async fn example(testbed: testbed::Testbed) -> anyhow::Result<()> {
//! use testbed::{VeleroPlan, progress::Console};
//!
//! let builder = testbed.clone();
//! tokio::spawn(async move { builder.build_velero(&Console::default()).await });
//! let cluster = testbed.cluster("east").start().await?;
//! let store = testbed.object_store().await?;
//! store.make_bucket("backups")?;
//! let velero = cluster.velero(VeleroPlan::new(&store, "backups"));
//! velero.install().await?;
//! println!("Velero {} keeps backups in {}", velero.answers().await?, store.bucket("backups").display());
//! # Ok(())
//! # }
//! ```

mod access;
mod certificates;
mod cluster;
mod components;
mod control_plane;
mod controllers;
mod cut;
mod driver;
mod forge;
mod go;
mod hash;
mod helm;
mod identity;
mod manifests;
mod nodes;
mod object_store;
mod on_demand;
mod pod_command;
mod pod_folder;
mod process;
pub mod progress;
mod proxy;
mod storage;
mod store;
mod supervisor;
mod template;
mod testbed;
mod velero;
mod volume;
mod wait;
mod wrong_clock;

pub use access::client_of;
pub use cluster::{Cluster, ClusterPlan};
pub use cut::{Cut, Point, Then};
pub use driver::{Code, DRIVER, Driver, Fault};
pub use object_store::ObjectStore;
pub use pod_folder::PodFolder;
pub use process::{Exit, Process, Signal};
pub use proxy::{Proxy, Write};
pub use storage::{SNAPSHOT_CLASS, STORAGE_CLASS, WAITING_STORAGE_CLASS};
pub use store::{Change, Store, Stored};
pub use testbed::Testbed;
pub use velero::{VELERO_NAMESPACE, Velero, VeleroPlan};
pub use volume::{Entry, Tree, Volume, difference, tree};
pub use wait::until;
pub use wrong_clock::WrongClock;
