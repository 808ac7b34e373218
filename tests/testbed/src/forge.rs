//! Builds what a cluster consists of, once per machine.
//!
//! Finished binaries stay in `${XDG_CACHE_HOME:-~/.cache}/testbed`, in folders
//! keyed by the Go version, the flags, and the go.mod and go.sum (or, for our
//! own programs, also the sources) that they came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::components::{
    CLUSTER, CLUSTER_LDFLAGS, Component, HELM, KWOK_MODULE, PLAIN_LDFLAGS, Pins, SNAPSHOT_CRDS_MODULE,
};
use crate::go::{Build, Go, Runner};
use crate::hash::sha256;
use crate::on_demand::OnDemand;
use crate::progress::Progress;
use crate::template;

/// Where every component of a cluster lies.
#[derive(Debug)]
pub(crate) struct Toolbox {
    binaries: Binaries,
    /// Holds the snapshot CRDs.
    pub(crate) crds: PathBuf,
    /// Holds kwok's stages.
    pub(crate) stages: PathBuf,
    /// What not every cluster needs.
    pub(crate) on_demand: OnDemand,
    template: OnceCell<PathBuf>,
}

/// Programs of our own: name of the build, folder of the source, programs.
const OWN: [(&str, &str, &[Build]); 2] = [
    ("driver", "dircsi", &[Build::Program("dircsi", "./dircsi"), Build::Test("dircsi-sanity", "./dircsi")]),
    (
        "object-store",
        "objectstore",
        &[Build::Program("objectstore", "./objectstore"), Build::Test("objectstore-test", "./objectstore")],
    ),
];

/// The stages of kwok that are used. Without `pod/fast/pod-complete`, which
/// ends the pods of Jobs at once: whether one succeeds is for its command to say.
const STAGES: &[&str] = &[
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-delete.yaml",
];

impl Toolbox {
    /// The path of a component's binary.
    pub(crate) fn binary(&self, name: &str) -> &Path {
        self.binaries.get(name).expect("the forge makes every component that is asked for")
    }

    /// What the etcd of a new cluster is a copy of.
    pub(crate) async fn template(self: &Arc<Self>) -> Result<PathBuf> {
        // Boxed, since it takes a cluster to make it.
        let find = || Box::pin(template::find(self));
        self.template.get_or_try_init(find).await.cloned()
    }

    /// Finds or builds what it takes to work on a cluster that runs already.
    pub(crate) async fn fill_for_joining(progress: &dyn Progress) -> Result<Self> {
        let cache = cache_folder()?;
        let go = Go::find().await?;
        let mut binaries = BTreeMap::new();
        let runner = supervisor(&go, &cache, &mut binaries, progress).await?;
        helm(&go, &cache, &runner, &mut binaries, progress).await?;
        let on_demand = OnDemand::new(go, cache, runner);
        let (crds, stages, template) = Default::default();
        Ok(Self { binaries, crds, stages, on_demand, template })
    }

    /// Finds or builds everything that every cluster needs.
    pub(crate) async fn fill(progress: &dyn Progress) -> Result<Self> {
        let cache = cache_folder()?;
        let go = Go::find().await?;
        let mut binaries = BTreeMap::new();
        let runner = supervisor(&go, &cache, &mut binaries, progress).await?;

        for (name, source, programs) in OWN {
            let own = go.keyed(&cache, name, Pins::Cluster, &[source], PLAIN_LDFLAGS)?;
            own.build(&runner, programs, progress).await?;
            binaries.extend(programs.iter().map(|program| (program.name(), own.path(program.name()))));
        }

        let cluster = go.keyed(&cache, "cluster", Pins::Cluster, &[], &CLUSTER_LDFLAGS)?;
        let mut missing = Vec::new();
        for component in CLUSTER {
            let path = if let Some(path) = installed(component).await {
                path
            } else {
                missing.push(Build::Program(component.name, component.package));
                cluster.path(component.name)
            };
            binaries.insert(component.name, path);
        }
        cluster.build(&runner, &missing, progress).await?;
        cluster
            .copy(&runner, SNAPSHOT_CRDS_MODULE, "crds", |module| {
                // Beside the CRDs there is a kustomization.
                let is_crd = |name: &str| name.contains("k8s.io_");
                Ok(files(&module.join("config/crd"))?
                    .into_iter()
                    .filter(|path| path.file_name().is_some_and(|name| is_crd(&name.to_string_lossy())))
                    .collect())
            })
            .await?;
        cluster
            .copy(&runner, KWOK_MODULE, "stages", |module| {
                Ok(STAGES.iter().map(|stage| module.join("kustomize/stage").join(stage)).collect())
            })
            .await?;

        helm(&go, &cache, &runner, &mut binaries, progress).await?;
        let on_demand = OnDemand::new(go, cache, runner);
        let (crds, stages, template) = (cluster.path("crds"), cluster.path("stages"), OnceCell::default());
        Ok(Self { binaries, crds, stages, on_demand, template })
    }
}

type Binaries = BTreeMap<&'static str, PathBuf>;

/// Builds the supervisor, which takes all later builds down with us.
async fn supervisor(
    go: &Go,
    cache: &Path,
    binaries: &mut Binaries,
    progress: &dyn Progress,
) -> Result<Runner> {
    let supervisor = go.keyed(cache, "supervisor", Pins::Cluster, &["supervisor"], PLAIN_LDFLAGS)?;
    supervisor.build(&Runner::Direct, &[Build::Program("supervisor", "./supervisor")], progress).await?;
    let binary = supervisor.path("supervisor");
    binaries.insert("supervisor", binary.clone());
    Ok(Runner::Supervised(binary))
}

async fn helm(
    go: &Go,
    cache: &Path,
    runner: &Runner,
    binaries: &mut Binaries,
    progress: &dyn Progress,
) -> Result<()> {
    let helm = go.keyed(cache, "helm", Pins::Helm, &[], PLAIN_LDFLAGS)?;
    if let Some(path) = installed(&HELM).await {
        binaries.insert(HELM.name, path);
    } else {
        helm.build(runner, &[Build::Program(HELM.name, HELM.package)], progress).await?;
        binaries.insert(HELM.name, helm.path(HELM.name));
    }
    Ok(())
}

/// Hashes everything that a build depends on, length by length so that no two
/// inputs run into each other.
pub(crate) fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let framed = parts.into_iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), part].concat());
    let mut key = sha256(&framed.collect::<Vec<_>>());
    key.truncate(12);
    key
}

fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: the built components need a place")?;
    Ok(base.join("testbed"))
}

/// A component that is installed and fits, in `KUBEBUILDER_ASSETS` or on PATH.
async fn installed(component: &Component) -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in assets.into_iter().chain(std::env::split_paths(&path)) {
        let candidate = folder.join(component.name);
        if !candidate.is_file() {
            continue;
        }
        let flag = if component.name == HELM.name { "version" } else { "--version" };
        let asked = Command::new(&candidate).arg(flag).kill_on_drop(true).output();
        // One that does not say what it is, is not used.
        if let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(10), asked).await {
            let said = [answer.stdout, answer.stderr].concat();
            if component.fits(&String::from_utf8_lossy(&said)) {
                return Some(candidate);
            }
        }
    }
    None
}

/// All that is in a folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The folder of one of this crate's Go modules.
pub(crate) fn module_folder(module: Pins) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("go").join(module.folder());
    if !folder.join("go.mod").is_file() {
        bail!("{} is gone: the testbed builds from its own checkout", folder.display());
    }
    Ok(folder)
}
