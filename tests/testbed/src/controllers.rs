//! The controllers of the control plane, and the simulator of nodes.

use anyhow::Result;

use crate::cluster::Cluster;
use crate::nodes::ALIVE;

impl Cluster {
    /// Starts kube-controller-manager and kube-scheduler. They serve nothing,
    /// and so need no ports.
    pub(crate) async fn start_controllers(&self) -> Result<()> {
        let kubeconfig = self.kubeconfig().display();
        let certificates = &self.control_plane.certificates;
        let manager = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--service-account-private-key-file={}", certificates.token_key.display()),
            format!("--root-ca-file={}", certificates.authority.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // A node counts as dead seconds after its last heartbeat.
            "--node-monitor-grace-period=6s".to_owned(),
            "--node-monitor-period=1s".to_owned(),
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
        self.start_component("kwok", args).await?;
        Ok(())
    }
}
