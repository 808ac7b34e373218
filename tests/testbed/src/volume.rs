//! The files of a volume, read and written past Kubernetes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;

use crate::cluster::Cluster;
use crate::driver::DRIVER;
use crate::hash::sha256;

/// The directory behind a bound claim.
#[derive(Debug, Clone)]
pub struct Volume {
    path: PathBuf,
}

/// All that is in a volume, by path: equal trees hold the same files with the
/// same bytes and modes.
pub type Tree = BTreeMap<PathBuf, Entry>;

/// One entry of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder, and its permission bits.
    Folder {
        /// The permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// The permission bits.
        mode: u32,
        /// Its size in bytes.
        size: u64,
        /// The SHA-256 of its content, in hexadecimal.
        sha256: String,
    },
    /// A symbolic link, and where it points.
    Link(PathBuf),
}

impl Cluster {
    /// The volume that a claim is bound to.
    ///
    /// # Errors
    /// When the claim is not bound, or to a volume of another driver or on
    /// another machine.
    pub async fn volume(&self, namespace: &str, claim: &str) -> Result<Volume> {
        let client = self.client();
        let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
        let bound = claims.get(claim).await.with_context(|| format!("read the claim {namespace}/{claim}"))?;
        let name = bound
            .spec
            .and_then(|spec| spec.volume_name)
            .with_context(|| format!("the claim {namespace}/{claim} is not bound to a volume"))?;
        let volume = Api::<PersistentVolume>::all(client)
            .get(&name)
            .await
            .with_context(|| format!("read the volume {name}"))?;
        let source = volume.spec.and_then(|spec| spec.csi).filter(|csi| csi.driver == DRIVER);
        let path = source
            .and_then(|csi| csi.volume_attributes?.remove("path"))
            .with_context(|| format!("the volume {name} was not made by {DRIVER}"))?;
        let path = PathBuf::from(path);
        ensure!(path.is_dir(), "the volume {name} is not on this machine: there is no {}", path.display());
        Ok(Volume { path })
    }
}

impl Volume {
    /// The directory that holds the files.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, and the folders that it takes.
    ///
    /// # Errors
    /// When the path leaves the volume, or the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<()> {
        let file = self.inside(path.as_ref())?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, content).with_context(|| format!("write {}", file.display()))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the path leaves the volume, or the file cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let file = self.inside(path.as_ref())?;
        fs::read(&file).with_context(|| format!("read {}", file.display()))
    }

    /// Lists everything, with hashes of all content.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn tree(&self) -> Result<Tree> {
        tree(&self.path)
    }

    fn inside(&self, path: &Path) -> Result<PathBuf> {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(plain, "{} is not a path inside a volume", path.display());
        Ok(self.path.join(path))
    }
}

/// Lists everything in any folder, as [`Volume::tree`] does.
///
/// # Errors
/// When something cannot be read, or is neither a file, a folder nor a link.
pub fn tree(folder: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    list(folder, Path::new(""), &mut tree).with_context(|| format!("list {}", folder.display()))?;
    Ok(tree)
}

fn list(root: &Path, folder: &Path, tree: &mut Tree) -> Result<()> {
    for found in fs::read_dir(root.join(folder))? {
        let found = found?;
        let path = folder.join(found.file_name());
        let about = found.metadata()?;
        let mode = about.permissions().mode() & 0o7777;
        let entry = if about.is_symlink() {
            Entry::Link(fs::read_link(found.path())?)
        } else if about.is_dir() {
            list(root, &path, tree)?;
            Entry::Folder { mode }
        } else if about.is_file() {
            let sha256 = sha256(&fs::read(found.path())?);
            Entry::File { mode, size: about.len(), sha256 }
        } else {
            bail!("{} is neither a file, a folder nor a link", path.display());
        };
        tree.insert(path, entry);
    }
    Ok(())
}

/// Tells where two trees differ, a line each: what a test prints.
#[must_use]
pub fn difference(before: &Tree, after: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, entry) in before {
        match after.get(path) {
            None => lines.push(format!("{} is missing", path.display())),
            Some(other) if other != entry => {
                lines.push(format!("{} was {entry:?} and is {other:?}", path.display()));
            }
            Some(_) => {}
        }
    }
    let added = after.keys().filter(|path| !before.contains_key(*path));
    lines.extend(added.map(|path| format!("{} was added", path.display())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_differ_where_a_byte_does() {
        let [a, b] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
        let [a, b] = [&a, &b].map(|folder| Volume { path: folder.path().to_owned() });
        for volume in [&a, &b] {
            volume.write("src/main.rs", "fn main() {}").expect("write");
            std::os::unix::fs::symlink("src/main.rs", volume.path().join("link")).expect("link");
        }
        assert_eq!(a.tree().expect("list"), b.tree().expect("list"));
        b.write("src/main.rs", "fn main() { }").expect("write");
        b.write("new", "").expect("write");
        let lines = difference(&a.tree().expect("list"), &b.tree().expect("list"));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("src/main.rs was File"), "{lines:?}");
        assert_eq!(lines[1], "new was added");
    }

    #[test]
    fn a_path_does_not_leave_the_volume() {
        let volume = Volume { path: PathBuf::from("/nowhere") };
        for path in ["../x", "/etc/passwd", "a/../../x"] {
            assert!(volume.write(path, "").expect_err(path).to_string().contains("not a path inside"));
        }
    }
}
