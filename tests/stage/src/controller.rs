//! The controller as a process, with the rights that the chart gives it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use testbed::{Process, WrongClock, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Stage;

/// The name that the controller's process has in the cluster.
const CONTROLLER: &str = "controller";
/// What its log says before the address of its health probes.
const PROBES: &str = "health probes: /healthz, /readyz";

impl Stage {
    /// A kubeconfig of the chart's ServiceAccount.
    ///
    /// # Errors
    /// When no token can be had.
    pub async fn controllers_kubeconfig(&self) -> Result<std::path::PathBuf> {
        self.cluster.service_account_kubeconfig(self.release(), self.release()).await
    }

    /// Starts the controller as the chart's ServiceAccount and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or does not get ready.
    pub async fn start_controller(&self, args: &[&str]) -> Result<Process> {
        let kubeconfig = self.controllers_kubeconfig().await?;
        self.start_controller_as(&kubeconfig, args).await
    }

    /// The same with a kubeconfig of the caller's, such as one that leads through a proxy.
    ///
    /// # Errors
    /// When it ends or does not get ready.
    pub async fn start_controller_as(&self, kubeconfig: &Path, args: &[&str]) -> Result<Process> {
        self.start_replica(CONTROLLER, kubeconfig, args).await
    }

    /// The same under a name of its own, so that several can run side by side.
    ///
    /// # Errors
    /// When it ends or does not get ready.
    pub async fn start_replica(&self, name: &str, kubeconfig: &Path, args: &[&str]) -> Result<Process> {
        self.start_process(name, kubeconfig, args, &[]).await
    }

    /// Starts the controller by a clock that may be wrong.
    ///
    /// # Errors
    /// When it ends or does not get ready.
    pub async fn start_controller_by(&self, clock: &WrongClock, args: &[&str]) -> Result<Process> {
        let kubeconfig = self.controllers_kubeconfig().await?;
        let env = clock.env();
        let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.start_process(CONTROLLER, &kubeconfig, args, &env).await
    }

    async fn start_process(
        &self,
        name: &str,
        kubeconfig: &Path,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Process> {
        // Those of its name that ran before have told their addresses in the same log.
        let earlier = self.cluster.process(name).and_then(|process| process.log());
        let earlier = earlier.map_or(0, |log| log.len());
        let process = self.launch_with(name, kubeconfig, args, env).await?;
        let ready = until("the controller is ready", Duration::from_mins(5), || async {
            anyhow::Ok(match process.exit() {
                Some(exit) => Some(Err(exit)),
                None => is_ready(&process, earlier).await.then_some(Ok(())),
            })
        });
        match ready.await? {
            Ok(()) => Ok(process),
            Err(exit) => {
                let log = process.log().context("read the controller's log")?;
                bail!("the controller ended ({exit}):\n{log}")
            }
        }
    }

    /// Starts it and does not wait for anything: for one that is not meant to live long.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn launch_controller(&self, name: &str, kubeconfig: &Path, args: &[&str]) -> Result<Process> {
        self.launch_with(name, kubeconfig, args, &[]).await
    }

    async fn launch_with(
        &self,
        name: &str,
        kubeconfig: &Path,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Process> {
        let env = [&[("NO_COLOR", "1")], env].concat();
        let kubeconfig = kubeconfig.display().to_string();
        // Any port does: its log says which it has.
        let mut all = vec!["controller", "--kubeconfig", &kubeconfig, "--health-address", "127.0.0.1:0"];
        all.extend(["--metrics-address", "127.0.0.1:0"]);
        all.extend(args);
        self.cluster.spawn(name, &self.program, &all, &env).await
    }

    /// What a controller serves at `/metrics`.
    ///
    /// # Errors
    /// When it does not say where that is, or does not answer.
    pub async fn metrics(&self, controller: &Process) -> Result<String> {
        let answer = get(&told_address(controller, "metrics: /metrics")?, "/metrics").await?;
        let (head, metrics) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        Ok(metrics.to_owned())
    }

    /// Whether a controller says of itself that it is alive and ready.
    ///
    /// # Errors
    /// When it does not say where it is to be asked, or does not answer.
    pub async fn is_well(&self, controller: &Process) -> Result<bool> {
        let address = told_address(controller, PROBES)?;
        let mut well = true;
        for probe in ["/healthz", "/readyz"] {
            well &= get(&address, probe).await?.starts_with("HTTP/1.1 200");
        }
        Ok(well)
    }

    /// The controller's process.
    ///
    /// # Errors
    /// When it was never started.
    pub fn controller(&self) -> Result<Process> {
        self.cluster.process(CONTROLLER)
    }
}

/// Where a controller's log says that it serves this.
fn told_address(controller: &Process, what: &str) -> Result<String> {
    let log = controller.log()?;
    address_in(&log, what).map(str::to_owned).with_context(|| format!("the log names no address of {what}"))
}

fn address_in<'l>(log: &'l str, what: &str) -> Option<&'l str> {
    log.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(what)?;
        rest.trim_start().strip_prefix("address=")?.split(' ').next()
    })
}

/// Asks `/readyz`, where the log says past this length that it is served.
async fn is_ready(controller: &Process, past: usize) -> bool {
    let log = controller.log().unwrap_or_default();
    let Some(address) = log.get(past..).and_then(|log| address_in(log, PROBES)) else { return false };
    get(address, "/readyz").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Asks in the plainest HTTP; the answer is whole, with its head.
async fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: controller\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
