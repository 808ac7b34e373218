//! An S3 server whose buckets are folders, for any number of clusters.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;

use crate::control_plane::{PATIENCE, alive_until};
use crate::forge::Toolbox;
use crate::process::{Exit, Process, Signal};
use crate::supervisor::{Environment, Launch, Supervisor};

/// The name of its process, and of its binary.
const PROCESS: &str = "objectstore";

/// A running S3 server, at one URL for as long as it lives. Dropping it takes
/// the server and all buckets down; in a panic, the end of its log is printed
/// first. With `TESTBED_KEEP=1` in the environment its folder stays.
///
/// Clients address buckets by path and sign their requests with the keys
/// (Signature Version 4, for any region). An object lies in its bucket's folder
/// at the path that is its key, and nothing else is in there: a test may read,
/// spoil and remove objects as files. One whose key ends in a slash, by which
/// clients keep empty folders, is a folder. To make the store unavailable, kill it
/// (connections are refused) or freeze it (nothing answers).
#[derive(Debug)]
pub struct ObjectStore {
    supervisor: Supervisor,
    launch: Launch,
    process: Mutex<Process>,
    address: SocketAddr,
    url: String,
    access_key: String,
    secret_key: String,
}

impl ObjectStore {
    pub(crate) async fn start(toolbox: &Toolbox) -> Result<Self> {
        let supervisor = Supervisor::launch(toolbox.binary("supervisor"), Environment::Own).await?;
        supervisor.keep_if_asked("the object store").await?;
        let [access_key, secret_key] = [(); 2].map(|()| uuid::Uuid::new_v4().simple().to_string());
        let folder = |name: &str| supervisor.dir().join(name).display().to_string();
        let mut launch = Launch {
            path: toolbox.binary(PROCESS).to_owned(),
            args: vec![
                format!("--root={}", folder("buckets")),
                format!("--scratch={}", folder("scratch")),
                "--listen=127.0.0.1:0".to_owned(),
            ],
            env: vec![
                ("OBJECTSTORE_ACCESS_KEY".to_owned(), access_key.clone()),
                ("OBJECTSTORE_SECRET_KEY".to_owned(), secret_key.clone()),
            ],
            cwd: supervisor.dir().to_owned(),
        };
        let process = supervisor.start(PROCESS, &launch).await?;
        alive_until(&process, "the object store to tell its address", || {
            let address = address_in(&process);
            async move { Ok(address.ok().map(drop)) }
        })
        .await?;
        let address = address_in(&process)?;
        // From now on there.
        launch.args.pop();
        launch.args.push(format!("--listen={address}"));
        let url = format!("http://{address}");
        Ok(Self { supervisor, launch, process: Mutex::new(process), address, url, access_key, secret_key })
    }

    /// The endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The access key of the one user, who may do everything.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret that goes with [`Self::access_key`].
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The folder of a bucket, whether it is there or not.
    #[must_use]
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.supervisor.dir().join("buckets").join(name)
    }

    /// Makes a bucket and gives its folder.
    ///
    /// # Errors
    /// When there is one of that name, or S3 has no such names.
    pub fn make_bucket(&self, name: &str) -> Result<PathBuf> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            (3..=63).contains(&name.len()) && name.chars().all(fits),
            "`{name}` is no name of a bucket: 3 to 63 of a-z, 0-9 and -"
        );
        let bucket = self.bucket(name);
        std::fs::create_dir(&bucket).with_context(|| format!("make the bucket {name}"))?;
        Ok(bucket)
    }

    /// The keys of all objects in a bucket, in order.
    ///
    /// # Errors
    /// When there is no such bucket.
    pub fn objects(&self, bucket: &str) -> Result<Vec<String>> {
        let root = self.bucket(bucket);
        let mut keys = Vec::new();
        list(&root, &root, &mut keys).with_context(|| format!("list the bucket {bucket}"))?;
        keys.sort();
        Ok(keys)
    }

    /// The server's process: its log has a line per request.
    #[must_use]
    pub fn process(&self) -> Process {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the server at once, as a crash does. Its objects stay.
    ///
    /// # Errors
    /// When its supervisor is gone.
    pub async fn kill(&self) -> Result<Exit> {
        self.process().kill().await
    }

    /// Stops the server where it is: connections stay open, nothing answers.
    ///
    /// # Errors
    /// When its supervisor is gone.
    pub async fn freeze(&self) -> Result<()> {
        self.process().signal(Signal::Stop).await
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// When its supervisor is gone.
    pub async fn thaw(&self) -> Result<()> {
        self.process().signal(Signal::Continue).await
    }

    /// Kills the server, if it still runs, and starts it again at the same URL,
    /// with all its objects. Waits until it answers.
    ///
    /// # Errors
    /// When it does not come up, with the end of its log.
    pub async fn restart(&self) -> Result<()> {
        self.kill().await?;
        let process = self.supervisor.start(PROCESS, &self.launch).await?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process.clone();
        alive_until(&process, "the object store to accept connections", || async {
            Ok(TcpStream::connect(self.address).await.ok().map(drop))
        })
        .await
    }

    /// Takes the server and, unless it is kept, its folder down, and waits
    /// until they are gone.
    ///
    /// # Errors
    /// When that takes more than five minutes.
    pub async fn stop(self) -> Result<()> {
        self.supervisor.close();
        tokio::time::timeout(PATIENCE, self.supervisor.ended()).await.context("take the object store down")?
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.process().print_end("object store");
        }
    }
}

/// The address that its first line of output tells.
fn address_in(process: &Process) -> Result<SocketAddr> {
    let log = process.log()?;
    let (said, _) = log.split_once(" serves ").context("the object store has said nothing yet")?;
    let (_, address) = said.split_once("http://").context("the object store tells its URL first")?;
    Ok(address.parse()?)
}

fn list(root: &Path, folder: &Path, keys: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, keys)?;
        } else {
            keys.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
