//! How a cluster is reached: kubeconfig files, and what they say.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use kube::config::{
    AuthInfo, Cluster, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use kube::{Client, Config};

/// The one context of the files that are written here.
const NAME: &str = "testbed";

/// How long an API server may be silent before a connection counts as lost. A watch is told something each minute.
const SILENCE: Duration = Duration::from_mins(10);

/// What a kubeconfig file says of its current context.
#[derive(Debug)]
pub(crate) struct Access {
    /// The file.
    pub(crate) kubeconfig: PathBuf,
    /// Of the API server.
    pub(crate) url: String,
    /// Where the cluster is and how it proves itself.
    pub(crate) cluster: Cluster,
    pub(crate) config: Config,
}

impl Access {
    /// Reads a file that stays as it is.
    pub(crate) async fn of(kubeconfig: &Path) -> Result<Self> {
        let config = client_config(kubeconfig).await?;
        let (cluster, _) = current(kubeconfig)?;
        let url = cluster.server.clone().unwrap_or_default();
        Ok(Self { kubeconfig: kubeconfig.to_owned(), url, cluster, config })
    }

    /// Copies the current context of a person's file to `copy`, which only
    /// this user can read, and reads that: whatever becomes of the person's
    /// file (`kubectl config use-context`), we stay where we are. Its client
    /// tries again what a busy API server puts off.
    pub(crate) async fn pinned(kubeconfig: &Path, copy: &Path) -> Result<Self> {
        let (cluster, person) = current(kubeconfig)?;
        write(copy, cluster, person)?;
        let mut access = Self::of(copy).await?;
        access.config.default_retry = true;
        Ok(access)
    }
}

/// The cluster and the user of the current context, with absolute paths.
fn current(kubeconfig: &Path) -> Result<(Cluster, AuthInfo)> {
    let about = || format!("read {}", kubeconfig.display());
    let absolute = std::path::absolute(kubeconfig).with_context(about)?;
    let file = Kubeconfig::read_from(absolute).with_context(about)?;
    let name =
        file.current_context.with_context(|| format!("{} names no current-context", kubeconfig.display()))?;
    let missing = |what: &str| format!("{}: the context {name} has no {what}", kubeconfig.display());
    let context = file.contexts.iter().find(|context| context.name == name);
    let context = context.and_then(|named| named.context.as_ref()).with_context(|| missing("entry"))?;
    let cluster = file.clusters.into_iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster).with_context(|| missing("cluster"))?;
    let person = file.auth_infos.into_iter().find(|person| Some(&person.name) == context.user.as_ref());
    Ok((cluster, person.and_then(|named| named.auth_info).unwrap_or_default()))
}

/// A client as a kubeconfig file says, that retries nothing by itself.
///
/// # Errors
/// When the file does not say how to reach a cluster.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(client_config(kubeconfig).await?)?)
}

async fn client_config(kubeconfig: &Path) -> Result<Config> {
    let about = || format!("read {}", kubeconfig.display());
    let file = Kubeconfig::read_from(kubeconfig).with_context(about)?;
    let mut config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.with_context(about)?;
    // A retry would hide what a test wants to see.
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    Ok(config)
}

/// Writes a kubeconfig file for the owner of a token.
pub(crate) fn write_kubeconfig(file: &Path, cluster: &Cluster, token: &str) -> Result<()> {
    let person = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
    write(file, cluster.clone(), person)
}

fn write(file: &Path, cluster: Cluster, person: AuthInfo) -> Result<()> {
    let context = kube::config::Context {
        cluster: NAME.to_owned(),
        user: Some(NAME.to_owned()),
        ..kube::config::Context::default()
    };
    let whole = Kubeconfig {
        api_version: Some("v1".to_owned()),
        kind: Some("Config".to_owned()),
        current_context: Some(NAME.to_owned()),
        contexts: vec![NamedContext { name: NAME.to_owned(), context: Some(context), ..Default::default() }],
        clusters: vec![NamedCluster { name: NAME.to_owned(), cluster: Some(cluster), ..Default::default() }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.to_owned(),
            auth_info: Some(person),
            ..Default::default()
        }],
        ..Kubeconfig::default()
    };
    let text = serde_saphyr::to_string(&whole)?;
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    let written = options.open(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.with_context(|| format!("write {}", file.display()))
}
