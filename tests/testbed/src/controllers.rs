//! The controllers of the control plane, and the simulator of nodes.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};
use tokio::net::TcpStream;

use crate::cluster::Cluster;
use crate::control_plane::{TRIES, alive_until, forget_log, lost_its_port};
use crate::nodes::ALIVE;

/// The component that plays the nodes.
const NODE_SIMULATOR: &str = "kwok";

/// Every command in every container is a process on this machine.
const EXEC_HERE: &str = "apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterExec
metadata:
  name: here
spec:
  execs:
    - local: {}
";

impl Cluster {
    /// Starts kube-controller-manager and kube-scheduler. They serve nothing,
    /// and so need no ports.
    pub(crate) async fn start_controllers(&self) -> Result<()> {
        let kubeconfig = self.kubeconfig().display();
        let certificates = &self.control_plane().certificates;
        let manager = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--service-account-private-key-file={}", certificates.token_key.display()),
            format!("--root-ca-file={}", certificates.authority.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // A node counts as dead seconds after its last heartbeat. No sooner: on a busy machine heartbeats are late, and
            // the pods of nodes that live would be evicted.
            "--node-monitor-grace-period=20s".to_owned(),
            "--node-monitor-period=1s".to_owned(),
            // A claim that somebody else wrote at the same moment, as a restore
            // does, is only looked at again after this; 15 s by default.
            "--pvclaimbinder-sync-period=1s".to_owned(),
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ];
        let scheduler = vec![
            format!("--kubeconfig={kubeconfig}"),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        tokio::try_join!(
            self.start_component("kube-controller-manager", manager),
            self.start_component("kube-scheduler", scheduler),
        )?;
        Ok(())
    }

    /// Starts kwok, which plays the kubelet of every node that bears the label
    /// [`ALIVE`]: heartbeats, and pods that run.
    pub(crate) async fn start_node_simulator(&self) -> Result<()> {
        let mut args = vec![
            format!("--kubeconfig={}", self.kubeconfig().display()),
            format!("--manage-nodes-with-label-selector={ALIVE}=true"),
            "--node-lease-duration-seconds=4".to_owned(),
        ];
        for stage in std::fs::read_dir(&self.toolbox.stages)? {
            args.push(format!("--config={}", stage?.path().display()));
        }
        if self.pods_execute {
            return self.start_node_simulator_with_exec(args).await;
        }
        self.start_component(NODE_SIMULATOR, args).await?;
        Ok(())
    }

    /// The same with the part of the kubelet's API that runs commands in pods.
    async fn start_node_simulator_with_exec(&self, args: Vec<String>) -> Result<()> {
        let everywhere = self.dir().join("exec.yaml");
        std::fs::write(&everywhere, EXEC_HERE)?;
        let certificates = &self.control_plane().certificates;
        for _ in 0..TRIES {
            let free =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr())?;
            let more = [
                format!("--config={}", everywhere.display()),
                format!("--server-address={free}"),
                format!("--node-ip={}", free.ip()),
                format!("--node-port={}", free.port()),
                format!("--tls-cert-file={}", certificates.server.display()),
                format!("--tls-private-key-file={}", certificates.server_key.display()),
            ];
            let process =
                self.start_component(NODE_SIMULATOR, [args.clone(), more.to_vec()].concat()).await?;
            let answer = alive_until(&process, "kwok to accept connections", || async move {
                Ok(TcpStream::connect(free).await.ok().map(drop))
            });
            match answer.await {
                Err(_) if lost_its_port(&process) => forget_log(&process)?,
                answer => return answer,
            }
        }
        bail!("kwok found its port taken {TRIES} times in a row");
    }
}
