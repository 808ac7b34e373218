//! etcd and the API server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::config::Cluster as NamedCluster;
use kube::{Client, Config};

use crate::access::{Access, write_kubeconfig};
use crate::certificates::Certificates;
use crate::cluster::Cluster;
use crate::process::{Process, tail};
use crate::supervisor::Launch;
use crate::wait::until;

pub(crate) const ETCD: &str = "etcd";
pub(crate) const API_SERVER: &str = "kube-apiserver";
/// The folder of etcd's data, in that of its cluster.
pub(crate) const ETCD_DATA: &str = "etcd";

/// How long a component may take to answer; a busy machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// How long it may take to answer once, before it is asked again.
const ANSWER: Duration = Duration::from_secs(30);

/// How often a start is tried with other ports when they were taken.
pub(crate) const TRIES: u32 = 5;

/// What is known of etcd and the API server.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    pub(crate) certificates: Certificates,
    kubeconfig: PathBuf,
    etcd_url: String,
    /// Tells our etcd from any other that may listen on a port.
    etcd_name: String,
    token: String,
    preferred_ports: Vec<u16>,
}

impl ControlPlane {
    /// Where etcd listens.
    pub(crate) fn etcd_url(&self) -> &str {
        &self.etcd_url
    }

    pub(crate) fn prepare(dir: &Path, preferred_ports: Vec<u16>) -> Result<Self> {
        let token = uuid::Uuid::new_v4().to_string();
        std::fs::write(dir.join("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
        Ok(Self {
            certificates: Certificates::write(&dir.join("pki"))?,
            kubeconfig: dir.join("kubeconfig"),
            etcd_url: String::new(),
            etcd_name: uuid::Uuid::new_v4().to_string(),
            token,
            preferred_ports,
        })
    }

    /// Ports that are preferred, or else free at this moment; somebody may
    /// still be quicker.
    fn take_ports<const N: usize>(&mut self) -> Result<[u16; N]> {
        let mut listeners = Vec::new();
        let mut ports = [0; N];
        for port in &mut ports {
            *port = if self.preferred_ports.is_empty() {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
                let free = listener.local_addr()?.port();
                // Kept until all are found, so that they differ.
                listeners.push(listener);
                free
            } else {
                self.preferred_ports.remove(0)
            };
        }
        Ok(ports)
    }
}

impl Cluster {
    pub(crate) async fn start_etcd(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            let plane = self.control_plane_mut();
            let ports = plane.take_ports()?;
            let [client, peer] = ports.map(|port: u16| format!("http://127.0.0.1:{port}"));
            plane.etcd_url.clone_from(&client);
            let name = &self.control_plane().etcd_name;
            let args = [
                format!("--name={name}"),
                format!("--data-dir={}", self.dir().join(ETCD_DATA).display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={name}={peer}"),
                // The data does not outlive the machine's uptime.
                "--unsafe-no-fsync".to_owned(),
                "--log-level=warn".to_owned(),
            ];
            let process = self.start_component(ETCD, args.to_vec()).await?;
            match self.etcd_answers(&process).await {
                Err(_) if lost_its_port(&process) => forget_log(&process)?,
                answer => return answer,
            }
        }
        bail!("etcd found its ports taken {TRIES} times in a row");
    }

    pub(crate) async fn etcd_answers(&self, etcd: &Process) -> Result<()> {
        // Any HTTP client does, and this one is there.
        let client = Client::try_from(Config::new(self.control_plane().etcd_url.parse()?))?;
        let name = &self.control_plane().etcd_name;
        alive_until(etcd, "etcd to list itself as a member", || {
            let client = client.clone();
            async move {
                let request = hyper::Request::post("/v3/cluster/member/list").body(b"{}".to_vec())?;
                let members = client.request_text(request).await.unwrap_or_default();
                Ok(members.contains(name).then_some(()))
            }
        })
        .await
    }

    pub(crate) async fn start_api_server(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            let [port] = self.control_plane_mut().take_ports()?;
            let url = format!("https://127.0.0.1:{port}");
            let plane = self.control_plane();
            let certificates = &plane.certificates;
            let authority = certificates.authority.display().to_string();
            let cluster = NamedCluster {
                server: Some(url),
                certificate_authority: Some(authority.clone()),
                ..NamedCluster::default()
            };
            write_kubeconfig(&plane.kubeconfig, &cluster, &plane.token)?;
            let access = Access::of(&plane.kubeconfig).await?;
            let mut args = vec![
                format!("--etcd-servers={}", plane.etcd_url),
                format!("--secure-port={port}"),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                // Nobody reaches the `kubernetes` Service, so it needs no endpoints.
                "--endpoint-reconciler-type=none".to_owned(),
                "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
                // Old versions are read by tests, however long those take.
                "--etcd-compaction-interval=2h".to_owned(),
                format!("--tls-cert-file={}", certificates.server.display()),
                format!("--tls-private-key-file={}", certificates.server_key.display()),
                format!("--cert-dir={}", self.dir().join("pki").display()),
                format!("--client-ca-file={authority}"),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", certificates.token_public_key.display()),
                format!("--service-account-signing-key-file={}", certificates.token_key.display()),
                "--authorization-mode=RBAC".to_owned(),
                format!("--token-auth-file={}", self.dir().join("tokens.csv").display()),
                // It would mount tokens into pods that no kubelet runs.
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                // A pod leaves a dead node after seconds instead of minutes.
                "--default-not-ready-toleration-seconds=2".to_owned(),
                "--default-unreachable-toleration-seconds=2".to_owned(),
            ];
            if self.pods_execute {
                args.push(format!("--kubelet-certificate-authority={authority}"));
                // The names of our nodes lead nowhere.
                args.push("--kubelet-preferred-address-types=InternalIP".to_owned());
            }
            let process = self.start_component(API_SERVER, args).await?;
            self.access = Some(access);
            match self.api_server_is_ready(&process).await {
                Err(_) if lost_its_port(&process) => forget_log(&process)?,
                answer => return answer,
            }
        }
        bail!("the API server found its port taken {TRIES} times in a row");
    }

    pub(crate) async fn api_server_is_ready(&self, api_server: &Process) -> Result<()> {
        let client: Client = self.client();
        alive_until(api_server, "the API server's /readyz", || {
            let client = client.clone();
            async move {
                let request = hyper::Request::get("/readyz").body(Vec::new())?;
                match tokio::time::timeout(ANSWER, client.request_text(request)).await {
                    Ok(Ok(_)) => Ok(Some(())),
                    Ok(Err(kube::Error::Api(status))) if status.code < 500 => Ok(None),
                    // It says which of its parts is not ready.
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Ok(None),
                }
            }
        })
        .await
    }

    /// Starts one of the toolbox's programs under its own name.
    pub(crate) async fn start_component(&self, name: &'static str, args: Vec<String>) -> Result<Process> {
        let path = self.toolbox.binary(name).to_owned();
        self.launch(name, Launch { path, args, env: Vec::new(), cwd: self.dir().to_owned() }).await
    }
}

/// Waits for a sign of life, and no longer than the process lives.
pub(crate) async fn alive_until<T, F, Fut>(process: &Process, what: &str, check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let outcome = tokio::select! {
        answer = until(what, PATIENCE, check) => answer,
        exit = process.wait() => match exit {
            Ok(exit) => Err(anyhow::anyhow!("it ended with {exit}")),
            Err(error) => Err(error),
        },
    };
    outcome.with_context(|| format!("{} says\n{}", process.name(), tail(process.log_path(), 20)))
}

pub(crate) fn lost_its_port(process: &Process) -> bool {
    process.exit().is_some() && process.log().is_ok_and(|log| log.contains("address already in use"))
}

/// So that the next try is judged by what it says itself.
pub(crate) fn forget_log(process: &Process) -> Result<()> {
    std::fs::remove_file(process.log_path()).context("remove a log")
}
