//! The files that stand for a cluster.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::observe::objects;

/// The objects in files, in the order of the files; of a folder those in its .yaml, .yml and .json files, by name.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for file in files {
        for file in within(file)? {
            let text = text(&file).with_context(|| format!("cannot read {}", file.display()))?;
            all.extend(objects(&text).with_context(|| format!("{} is no manifest", file.display()))?);
        }
    }
    Ok(all)
}

fn within(file: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !file.is_dir() {
        return Ok(vec![file.to_owned()]);
    }
    let about = || format!("cannot read {}", file.display());
    let entries = std::fs::read_dir(file).with_context(about)?;
    let entries = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let is_manifest = |path: &PathBuf| {
        path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known))
    };
    let mut found: Vec<PathBuf> = entries.with_context(about)?.into_iter().filter(is_manifest).collect();
    found.sort();
    if found.is_empty() {
        bail!("there is no .yaml, .yml or .json file in {}", file.display());
    }
    Ok(found)
}

fn text(file: &Path) -> std::io::Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
