//! What only some clusters need: built when something asks for it, once per
//! process, and like everything else once per machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::components::{PLAIN_LDFLAGS, RCLONE, VELERO, VELERO_LDFLAGS, VELERO_PLUGIN};
use crate::forge::files;
use crate::go::{Build, Go, Runner};
use crate::progress::Progress;

/// The means to build it, and where it lies once it is there.
#[derive(Debug)]
pub(crate) struct OnDemand {
    go: Go,
    cache: PathBuf,
    runner: Runner,
    velero: OnceCell<VeleroBinaries>,
    velero_crds: OnceCell<PathBuf>,
    rclone: OnceCell<PathBuf>,
}

/// What Velero runs from.
#[derive(Debug)]
pub(crate) struct VeleroBinaries {
    pub(crate) server: PathBuf,
    pub(crate) plugin: PathBuf,
}

impl OnDemand {
    pub(crate) fn new(go: Go, cache: PathBuf, runner: Runner) -> Self {
        Self {
            go,
            cache,
            runner,
            velero: OnceCell::new(),
            velero_crds: OnceCell::new(),
            rclone: OnceCell::new(),
        }
    }

    /// Velero's server and its plugin for S3: minutes, the first time.
    pub(crate) async fn velero(&self, progress: &dyn Progress) -> Result<&VeleroBinaries> {
        let build = async || {
            let mut paths = Vec::new();
            for (component, ldflags) in [(VELERO, VELERO_LDFLAGS.as_str()), (VELERO_PLUGIN, PLAIN_LDFLAGS)] {
                let keyed = self.go.keyed(&self.cache, component.name, component.pins, &[], ldflags)?;
                let build = Build::Program(component.name, component.package);
                keyed.build(&self.runner, &[build], progress).await?;
                paths.push(keyed.path(component.name));
            }
            let [server, plugin] = <[PathBuf; 2]>::try_from(paths).expect("two were built");
            Ok(VeleroBinaries { server, plugin })
        };
        self.velero.get_or_try_init(build).await
    }

    /// The folder with Velero's CRDs, which takes no build.
    pub(crate) async fn velero_crds(&self) -> Result<&Path> {
        let copy = async || {
            let keyed = self.go.keyed(&self.cache, VELERO.name, VELERO.pins, &[], &VELERO_LDFLAGS)?;
            keyed
                .copy(&self.runner, VELERO.module, "crds", |module| {
                    let folders = ["config/crd/v1/bases", "config/crd/v2alpha1/bases"];
                    let files = folders.map(|folder| files(&module.join(folder)));
                    Ok(files.into_iter().collect::<Result<Vec<_>>>()?.concat())
                })
                .await?;
            Ok(keyed.path("crds"))
        };
        self.velero_crds.get_or_try_init(copy).await.map(PathBuf::as_path)
    }

    /// rclone, with local files and S3: a minute or two, the first time.
    pub(crate) async fn rclone(&self, progress: &dyn Progress) -> Result<&Path> {
        let build = async || {
            let keyed = self.go.keyed(&self.cache, RCLONE.name, RCLONE.pins, &["."], PLAIN_LDFLAGS)?;
            keyed.build(&self.runner, &[Build::Program(RCLONE.name, RCLONE.package)], progress).await?;
            Ok(keyed.path(RCLONE.name))
        };
        self.rclone.get_or_try_init(build).await.map(PathBuf::as_path)
    }
}
