//! Files in a running pod, read and written by commands in its container, as
//! `kubectl exec` does it: the way to a volume that is on another machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cluster::Cluster;
use crate::volume::{Entry, Tree};

/// How long one command may take.
const LIMIT: Duration = Duration::from_mins(5);

/// Writes standard input, so many bytes of it, to a file. Not to its end: API
/// servers before 1.30 cannot tell a command that its input has ended.
const WRITE: &str = r#"set -e
mkdir -p "$(dirname "$1")"
head -c "$2" > "$1"
[ "$(wc -c < "$1")" -eq "$2" ]"#;

const LINK: &str = r#"set -e
mkdir -p "$(dirname "$1")"
ln -s "$2" "$1""#;

/// Kind, path, size and value of each entry, all ended by NUL: no name of a
/// file can look like two.
const LIST: &str = r#"set -e
cd "$1"
find . ! -name . -exec sh -c 'for entry do
  size= value=
  if [ -L "$entry" ]; then kind=link value=$(readlink "$entry")
  elif [ -d "$entry" ]; then kind=folder
  elif [ -f "$entry" ]; then kind=file size=$(wc -c < "$entry") value=$(sha256sum < "$entry")
  else kind=other
  fi || exit 1
  printf "%s\0%s\0%s\0%s\0" "$kind" "$entry" "$size" "$value"
done' sh {} +"#;

/// A folder in a volume that a running pod mounts. Its container needs `sh`,
/// `find`, `head`, `readlink`, `sha256sum` and `wc`, as nearly every image has.
#[derive(Debug, Clone)]
pub struct PodFolder {
    pods: Api<Pod>,
    pod: String,
    container: String,
    path: String,
}

impl Cluster {
    /// The folder of that name in the volume of a claim, inside a pod that
    /// mounts it. It need not exist yet.
    ///
    /// # Errors
    /// When the pod does not exist, or no container of it mounts the claim.
    pub async fn folder_in_pod(
        &self,
        namespace: &str,
        pod: &str,
        claim: &str,
        folder: &str,
    ) -> Result<PodFolder> {
        let pods = Api::<Pod>::namespaced(self.client(), namespace);
        let found = pods.get(pod).await.with_context(|| format!("read the pod {namespace}/{pod}"))?;
        let (container, mount) = mount_of(&found, claim)
            .with_context(|| format!("no container of the pod {namespace}/{pod} mounts the claim {claim}"))?;
        let path = format!("{}/{folder}", mount.trim_end_matches('/'));
        Ok(PodFolder { pods, pod: pod.to_owned(), container: container.name.clone(), path })
    }
}

/// The container that mounts a claim, and where.
fn mount_of<'a>(pod: &'a Pod, claim: &str) -> Option<(&'a Container, &'a str)> {
    let spec = pod.spec.as_ref()?;
    let of_claim = |volume: &&k8s_openapi::api::core::v1::Volume| {
        volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == claim)
    };
    let volume = spec.volumes.iter().flatten().find(of_claim)?;
    spec.containers.iter().find_map(|container| {
        let mut mounts = container.volume_mounts.iter().flatten();
        let mount = mounts.find(|mount| mount.name == volume.name && mount.sub_path.is_none())?;
        Some((container, mount.mount_path.as_str()))
    })
}

impl PodFolder {
    /// Writes a file, and the folders that it takes.
    ///
    /// # Errors
    /// When the pod is not running, or the file cannot be written.
    pub async fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        self.run(WRITE, &[&self.inside(path), &content.len().to_string()], content).await?;
        Ok(())
    }

    /// Makes a symbolic link that points to `target`.
    ///
    /// # Errors
    /// When the pod is not running, or the link cannot be made.
    pub async fn link(&self, path: &str, target: &str) -> Result<()> {
        self.run(LINK, &[&self.inside(path), target], &[]).await?;
        Ok(())
    }

    /// Lists everything, with hashes of all content. Permission bits are left
    /// out (0): a kubelet may change them when it mounts a volume (`fsGroup`).
    ///
    /// # Errors
    /// When the pod is not running, or something cannot be read.
    pub async fn tree(&self) -> Result<Tree> {
        let listed = self.run(LIST, &[&self.path], &[]).await?;
        parse(&listed).with_context(|| format!("list {} in the pod {}", self.path, self.pod))
    }

    fn inside(&self, path: &str) -> String {
        format!("{}/{path}", self.path)
    }

    /// Runs a shell script in the container and gives what it printed.
    async fn run(&self, script: &str, args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let about = || format!("run a command in the pod {}", self.pod);
        let running = tokio::time::timeout(LIMIT, self.exec(script, args, input)).await;
        running
            .with_context(|| format!("it took more than {} s", LIMIT.as_secs()))
            .flatten()
            .with_context(about)
    }

    async fn exec(&self, script: &str, args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let command = ["sh", "-c", script, "sh"].into_iter().chain(args.iter().copied());
        let params = AttachParams::default()
            .container(&self.container)
            .stdin(!input.is_empty())
            .stdout(true)
            .stderr(true);
        let mut process = self.pods.exec(&self.pod, command, &params).await?;
        let status = process.take_status().context("it is taken once")?;
        let mut stdin = process.stdin();
        let mut stdout = process.stdout().context("it is asked for")?;
        let mut stderr = process.stderr().context("it is asked for")?;
        let (mut printed, mut complaint) = (Vec::new(), Vec::new());
        let write = async {
            if let Some(stdin) = &mut stdin {
                // A command that has ended early says why in its status.
                let _ = stdin.write_all(input).await;
            }
        };
        let ((), out, err) =
            tokio::join!(write, stdout.read_to_end(&mut printed), stderr.read_to_end(&mut complaint),);
        out?;
        err?;
        let status = status.await.context("the connection was lost")?;
        if status.status.as_deref() != Some("Success") {
            let said = String::from_utf8_lossy(&complaint).trim().to_owned();
            bail!("{}: {said}", status.message.unwrap_or_default());
        }
        Ok(printed)
    }
}

fn parse(listed: &[u8]) -> Result<Tree> {
    let text = std::str::from_utf8(listed).context("a name is not in UTF-8")?;
    let fields = text.split_terminator('\0').collect::<Vec<_>>();
    let (entries, rest) = fields.as_chunks::<4>();
    ensure!(rest.is_empty(), "the list ends in the middle");
    let mut tree = BTreeMap::new();
    for [kind, path, size, value] in entries {
        let path = PathBuf::from(Path::new(path).strip_prefix(".").unwrap_or(Path::new(path)));
        let entry = match *kind {
            "folder" => Entry::Folder { mode: 0 },
            "link" => Entry::Link(PathBuf::from(value)),
            "file" => {
                let size = size.trim().parse().with_context(|| format!("the size of {}", path.display()))?;
                let sha256 = value.split_whitespace().next().unwrap_or_default().to_owned();
                ensure!(sha256.len() == 64, "{value:?} is no SHA-256 of {}", path.display());
                Entry::File { mode: 0, size, sha256 }
            }
            _ => bail!("{} is neither a file, a folder nor a link", path.display()),
        };
        tree.insert(path, entry);
    }
    Ok(tree)
}
