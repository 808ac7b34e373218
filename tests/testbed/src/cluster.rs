//! A running cluster.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::{Client, Config};

use crate::access::Access;
use crate::control_plane::{API_SERVER, ControlPlane, ETCD_DATA, PATIENCE};
use crate::driver;
use crate::forge::Toolbox;
use crate::process::{Exit, Process, Signal};
use crate::supervisor::{Environment, Launch, Supervisor};
use crate::template;

/// What a cluster is to be like.
#[derive(Debug)]
pub struct ClusterPlan {
    toolbox: Arc<Toolbox>,
    name: String,
    driver_root: Option<PathBuf>,
    nodes: u32,
    ports: Vec<u16>,
    pods_execute: bool,
    inert: bool,
    empty: bool,
}

/// A running cluster. Dropping it takes its processes and its folder down (those
/// that are ours, if it was joined); in
/// a panic, the ends of all logs are printed first. With `TESTBED_KEEP=1` in
/// the environment the folder stays.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    pub(crate) toolbox: Arc<Toolbox>,
    pub(crate) supervisor: Supervisor,
    /// None: it was joined, and its components are somebody else's.
    control_plane: Option<ControlPlane>,
    /// None until the API server is about to come up.
    pub(crate) access: Option<Access>,
    pub(crate) pods_execute: bool,
    driver_root: PathBuf,
    running: Mutex<Vec<Running>>,
}

/// A process and what it takes to start it again.
#[derive(Debug)]
struct Running {
    launch: Launch,
    process: Process,
}

/// How long the API server of a cluster that is joined may take to answer.
const ANSWER: Duration = Duration::from_mins(2);

impl ClusterPlan {
    pub(crate) fn new(toolbox: Arc<Toolbox>, name: &str) -> Self {
        Self {
            toolbox,
            name: name.to_owned(),
            driver_root: None,
            nodes: 0,
            ports: Vec::new(),
            pods_execute: false,
            inert: false,
            empty: false,
        }
    }

    /// Keeps the CSI driver's volumes and snapshots here instead of in the
    /// cluster's own folder. Clusters whose drivers share a root see each
    /// other's snapshots by handle, as with regional storage. The folder must
    /// outlive them; [`Cluster::driver_root`] of a first cluster will do.
    #[must_use]
    pub fn driver_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.driver_root = Some(root.into());
        self
    }

    /// Starts with so many nodes: `node-1`, `node-2`, … More can be added.
    #[must_use]
    pub fn nodes(mut self, count: u32) -> Self {
        self.nodes = count;
        self
    }

    /// Tries these ports first, in this order: two of etcd, one of the API
    /// server. When one is taken, the component moves on to the next ones, and
    /// in the end to any that are free.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// Lets `kubectl exec` and its like run commands as processes on this
    /// machine, where absolute paths are this machine's. For tests that need
    /// it: kwok asks nobody who they are, so while the cluster lives, every
    /// local user can run commands through its loopback port.
    #[must_use]
    pub fn pods_execute(mut self) -> Self {
        self.pods_execute = true;
        self
    }

    /// Starts etcd and the API server alone, with the snapshot CRDs: nothing
    /// reacts to what is written, no claim gets bound and no snapshot ready.
    /// For measuring writes.
    #[must_use]
    pub fn inert(mut self) -> Self {
        self.inert = true;
        self
    }

    /// Starts with an etcd that holds nothing, and not with a copy of the
    /// template.
    #[must_use]
    pub(crate) fn empty(mut self) -> Self {
        self.empty = true;
        self
    }

    /// Starts the cluster and waits until it is usable: the API server ready,
    /// the snapshot CRDs established, the driver answering, the nodes Ready.
    ///
    /// # Errors
    /// When a component does not come up, with the end of its log.
    pub async fn start(self) -> Result<Cluster> {
        let template = if self.empty { None } else { Some(self.toolbox.template().await?) };
        let supervisor = Supervisor::launch(self.toolbox.binary("supervisor"), Environment::Own).await?;
        if let Some(template) = &template {
            template::copy(template, &supervisor.dir().join(ETCD_DATA))?;
        }
        supervisor.keep_if_asked(&format!("cluster {}", self.name)).await?;
        let driver_root = self.driver_root.unwrap_or_else(|| supervisor.dir().join("storage"));
        std::fs::create_dir_all(&driver_root)?;
        let mut cluster = Cluster {
            name: self.name,
            control_plane: Some(ControlPlane::prepare(supervisor.dir(), self.ports)?),
            access: None,
            pods_execute: self.pods_execute,
            toolbox: self.toolbox,
            supervisor,
            driver_root,
            running: Mutex::default(),
        };
        let name = cluster.name.clone();
        cluster
            .bring_up(self.nodes, self.inert, template.is_none())
            .await
            .with_context(|| format!("start the cluster {name}"))?;
        Ok(cluster)
    }

    /// Works on a cluster that runs already, with the rights of a kubeconfig
    /// file's current context. Everything that this crate starts (helm,
    /// processes that are spawned) is ours and ends with what is returned;
    /// the cluster itself stays as it is. There are no components to kill or
    /// restart and no driver to give faults to. The plan's other settings are
    /// about clusters that are started, and play no part.
    ///
    /// # Errors
    /// When the file does not lead to an API server that answers.
    pub async fn join(self, kubeconfig: &Path) -> Result<Cluster> {
        let supervisor = Supervisor::launch(self.toolbox.binary("supervisor"), Environment::Callers).await?;
        let access = Access::pinned(kubeconfig, &supervisor.dir().join("kubeconfig")).await?;
        let cluster = Cluster {
            name: self.name,
            control_plane: None,
            access: Some(access),
            pods_execute: false,
            toolbox: self.toolbox,
            supervisor,
            driver_root: PathBuf::new(),
            running: Mutex::default(),
        };
        let asked = tokio::time::timeout(ANSWER, async { cluster.client().apiserver_version().await });
        let failed =
            || format!("{}, which {} leads to, does not answer", cluster.url(), kubeconfig.display());
        asked.await.with_context(failed)?.with_context(failed)?;
        Ok(cluster)
    }
}

impl Cluster {
    async fn bring_up(&mut self, nodes: u32, inert: bool, empty: bool) -> Result<()> {
        self.start_etcd().await?;
        self.start_api_server().await?;
        if empty {
            self.install_crds(&self.toolbox.crds).await?;
        }
        if inert {
            return Ok(());
        }
        let nodes = (1..=nodes).map(|n| format!("node-{n}")).collect::<Vec<_>>();
        let nodes = async {
            self.start_node_simulator().await?;
            futures::future::try_join_all(nodes.iter().map(|node| self.add_node(node))).await
        };
        tokio::try_join!(self.start_controllers(), self.start_storage(), nodes)?;
        Ok(())
    }

    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of everything that belongs to this cluster; gone with it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.supervisor.dir()
    }

    /// The URL of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.access().url
    }

    /// A kubeconfig file with all rights.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.access().kubeconfig
    }

    /// A client with all rights that retries nothing by itself, unless the
    /// cluster was joined. A new one each time, bound to the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::try_from(self.admin_config()).expect("the cluster came up with this configuration")
    }

    pub(crate) fn admin_config(&self) -> Config {
        self.access().config.clone()
    }

    pub(crate) fn access(&self) -> &Access {
        self.access.as_ref().expect("a cluster is handed out only with its API server up")
    }

    pub(crate) fn control_plane(&self) -> &ControlPlane {
        self.control_plane.as_ref().expect("only a cluster that is started here has components")
    }

    pub(crate) fn control_plane_mut(&mut self) -> &mut ControlPlane {
        self.control_plane.as_mut().expect("only a cluster that is started here has components")
    }

    /// Whether it ran before we came, and stays when we go.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.control_plane.is_none()
    }

    /// The root folder of the CSI driver's volumes and snapshots. Empty for a
    /// cluster that was joined: its driver is somebody else's.
    #[must_use]
    pub fn driver_root(&self) -> &Path {
        &self.driver_root
    }

    /// Runs any program beside the cluster, with the environment of this
    /// process (less what points to other clusters) and `env` added, in the
    /// cluster's folder. Ends with the cluster. A name is free again once its
    /// process has ended; its log goes on.
    ///
    /// # Errors
    /// When the name is in use or the program cannot be started.
    pub async fn spawn(
        &self,
        name: &str,
        program: impl AsRef<Path>,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Process> {
        let launch = Launch {
            path: program.as_ref().to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            cwd: self.dir().to_owned(),
        };
        self.launch(name, launch).await
    }

    pub(crate) async fn launch(&self, name: &str, launch: Launch) -> Result<Process> {
        if self.process(name).is_ok_and(|process| process.exit().is_none()) {
            bail!("a process called {name} is running already");
        }
        let process = self.supervisor.start(name, &launch).await?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|other| other.process.name() != name);
        running.push(Running { launch, process: process.clone() });
        Ok(process)
    }

    /// A component, such as `etcd`, or a process that was spawned, by name.
    ///
    /// # Errors
    /// When there is none; it lists those that there are.
    pub fn process(&self, name: &str) -> Result<Process> {
        self.known(name).map(|(process, _)| process)
    }

    fn known(&self, name: &str) -> Result<(Process, Launch)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = running.iter().find(|running| running.process.name() == name) else {
            let names = running.iter().map(|running| running.process.name()).collect::<Vec<_>>();
            let joined = if self.is_joined() { " in a cluster that was joined" } else { "" };
            bail!("no process of ours is called {name}{joined}; there are {}", names.join(", "));
        };
        Ok((found.process.clone(), found.launch.clone()))
    }

    /// Ends a process at once, as a crash does.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn kill(&self, name: &str) -> Result<Exit> {
        self.process(name)?.kill().await
    }

    /// Ends every process of ours at once. In a cluster that was started here
    /// that takes the control plane along.
    ///
    /// # Errors
    /// When the cluster is gone.
    pub async fn kill_all(&self) -> Result<()> {
        let processes = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.iter().map(|running| running.process.clone()).collect::<Vec<_>>()
        };
        for process in processes.iter().filter(|process| process.exit().is_none()) {
            process.kill().await?;
        }
        Ok(())
    }

    /// Stops a process where it is: connections stay open, nothing answers.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn freeze(&self, name: &str) -> Result<()> {
        self.process(name)?.signal(Signal::Stop).await
    }

    /// Lets a frozen process go on. Waits until etcd, or the API server, answers again.
    ///
    /// # Errors
    /// When there is none of that name, or it does not come round.
    pub async fn thaw(&self, name: &str) -> Result<()> {
        let process = self.process(name)?;
        process.signal(Signal::Continue).await?;
        self.answers(name, &process).await
    }

    /// Kills a process, if it still runs, and starts it again just as before,
    /// ports included. Waits until a component answers again.
    ///
    /// # Errors
    /// When there is none of that name, or it does not come up.
    pub async fn restart(&self, name: &str) -> Result<Process> {
        let (process, launch) = self.known(name)?;
        process.kill().await?;
        let process = self.launch(name, launch).await?;
        self.answers(name, &process).await?;
        Ok(process)
    }

    /// Waits until a component answers. Others are believed.
    async fn answers(&self, name: &str, process: &Process) -> Result<()> {
        match name {
            crate::control_plane::ETCD => self.etcd_answers(process).await,
            API_SERVER => self.api_server_is_ready(process).await,
            driver::PROCESS => self.driver_answers(process).await,
            _ => Ok(()),
        }
    }

    /// Takes the cluster down and waits until every process, and the folder
    /// unless it is kept, is gone. Of a cluster that was joined, only what was
    /// started here.
    ///
    /// # Errors
    /// When that takes more than five minutes.
    pub async fn stop(self) -> Result<()> {
        self.supervisor.close();
        tokio::time::timeout(PATIENCE, self.supervisor.ended())
            .await
            .with_context(|| format!("take the cluster {} down", self.name))?
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            for running in running.iter() {
                running.process.print_end(&self.name);
            }
        }
    }
}
