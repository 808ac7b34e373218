//! What every cluster begins with, made once per machine.
//!
//! A new API server writes its own roles, priorities and services into an empty etcd, and then takes the snapshot
//! CRDs; that is half of what a cluster costs. The etcd of a new cluster is a copy of one in which all of that has
//! happened. What has to differ between clusters is made anew in each: the namespaces, whose UIDs tell clusters apart,
//! and everything that lives in time.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::cluster::ClusterPlan;
use crate::control_plane::{API_SERVER, ETCD, ETCD_DATA};
use crate::forge::{Toolbox, files, key};
use crate::process::Signal;
use crate::store::bytes;

/// What is no part of it: the API server makes it anew.
const MADE_ANEW: [&str; 4] = ["namespaces", "leases", "events", "configmaps"];

/// How it is made: with these arguments, and in these steps.
const MADE_BY: [&[u8]; 2] = [include_bytes!("control_plane.rs"), include_bytes!("template.rs")];

/// Finds the template for clusters of these components, or makes it.
pub(crate) async fn find(toolbox: &Arc<Toolbox>) -> Result<PathBuf> {
    let mut crds = files(&toolbox.crds)?;
    crds.sort();
    let mut parts = MADE_BY.map(<[u8]>::to_vec).to_vec();
    for crd in crds {
        parts.push(fs::read(&crd).with_context(|| format!("read {}", crd.display()))?);
    }
    for component in [ETCD, API_SERVER] {
        let path = toolbox.binary(component);
        let metadata = path.metadata().with_context(|| format!("look at {}", path.display()))?;
        parts.push(path.as_os_str().as_encoded_bytes().to_vec());
        parts.push(metadata.len().to_be_bytes().to_vec());
    }
    let name = format!("template-{}", key(parts.iter().map(Vec::as_slice)));
    let folder = toolbox.crds.parent().context("the CRDs lie in a folder of the cache")?;
    let template = folder.join(&name);
    if template.exists() {
        return Ok(template);
    }
    let partial = tempfile::Builder::new().prefix(&name).tempdir_in(folder)?;
    make(toolbox, partial.path()).await.context("make the template of all clusters")?;
    match fs::rename(partial.path(), &template) {
        Ok(()) => {
            // It has another name now.
            let _ = partial.keep();
            Ok(template)
        }
        // Somebody else was quicker.
        Err(_) if template.exists() => Ok(template),
        Err(error) => Err(error.into()),
    }
}

async fn make(toolbox: &Arc<Toolbox>, into: &Path) -> Result<()> {
    let cluster = ClusterPlan::new(Arc::clone(toolbox), "template").inert().empty().start().await?;
    cluster.kill(API_SERVER).await?;
    let etcd = Client::try_from(Config::new(cluster.control_plane().etcd_url().parse()?))?;
    for kind in MADE_ANEW {
        // The character after a slash.
        let range = json!({
            "key": bytes(&format!("/registry/{kind}/")),
            "range_end": bytes(&format!("/registry/{kind}0")),
        });
        let request = hyper::Request::post("/v3/kv/deleterange").body(serde_json::to_vec(&range)?)?;
        let _: Value = etcd.request(request).await.with_context(|| format!("delete {kind}"))?;
    }
    let etcd = cluster.process(ETCD)?;
    etcd.signal(Signal::Term).await?;
    etcd.wait().await?;
    copy(&cluster.dir().join(ETCD_DATA), into)?;
    cluster.stop().await
}

/// Copies a folder and all that is in it. Most of a log of etcd's is empty, and no zeros are written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for path in files(from)? {
        let target = to.join(path.file_name().context("a file has a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            copy_sparse(&path, &target)
                .with_context(|| format!("copy {} to {}", path.display(), target.display()))?;
        }
    }
    Ok(())
}

fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::create(to)?);
    let mut block = vec![0; 64 * 1024];
    loop {
        let read = source.read(&mut block)?;
        match &block[..read] {
            [] => break,
            zeros if zeros.iter().all(|byte| *byte == 0) => {
                target.seek(SeekFrom::Current(read.try_into()?))?;
            }
            data => target.write_all(data)?,
        }
    }
    target.set_len(source.metadata()?.len())?;
    Ok(())
}
