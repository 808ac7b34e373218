//! The recipe's manifests, and their commands as processes.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Container, PodSpec, Secret};
use tempfile::TempDir;
use testbed::progress::Console;
use testbed::{ObjectStore, Testbed};
use tokio::process::{Child, Command};

use crate::place::PATIENCE;

pub(super) const BUCKET: &str = "bucket";

/// The text of a file of the recipe.
pub(super) fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/s3-sync").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn secret() -> Secret {
    serde_saphyr::from_str(&file("secret.yaml")).unwrap()
}

/// A store with a bucket, rclone, and a folder for workspaces.
pub(super) struct Site {
    pub(super) store: ObjectStore,
    rclone: PathBuf,
    folder: TempDir,
}

impl Site {
    pub(super) async fn set() -> Self {
        let testbed = Testbed::prepare(&Console::default()).await.unwrap();
        let rclone = testbed.rclone(&Console::default()).await.unwrap();
        let store = testbed.object_store().await.unwrap();
        store.make_bucket(BUCKET).unwrap();
        Self { store, rclone, folder: tempfile::tempdir().unwrap() }
    }

    /// A new and empty workspace.
    pub(super) fn workspace(&self, name: &str) -> PathBuf {
        let workspace = self.folder.path().join(name);
        std::fs::create_dir(&workspace).unwrap();
        workspace
    }

    /// Runs the command of the CronJob on a workspace.
    pub(super) async fn sync(&self, workspace: &Path) -> Outcome {
        self.sync_with(workspace, &[]).await
    }

    /// The same, that has to be done.
    pub(super) async fn synced(&self, workspace: &Path) {
        self.sync(workspace).await.done();
    }

    /// The same, with each file of more than 5 MiB in parts; by itself rclone does that with more than 200 MiB.
    pub(super) async fn synced_in_parts(&self, workspace: &Path) {
        self.sync_with(workspace, &[("RCLONE_S3_UPLOAD_CUTOFF", "5Mi")]).await.done();
    }

    /// Runs it against a store that refuses something, which rclone asks only once. It has to fail, and its log is given.
    pub(super) async fn sync_refused(&self, workspace: &Path) -> String {
        self.sync_with(workspace, &[("RCLONE_LOW_LEVEL_RETRIES", "1")]).await.failed()
    }

    async fn sync_with(&self, workspace: &Path, more: &[(&str, &str)]) -> Outcome {
        self.run(self.sync_command(workspace, more)).await
    }

    /// Starts the command of the CronJob, over a line so slow that it comes to no end.
    pub(super) fn sync_slowly(&self, workspace: &Path) -> Running {
        let mut command = self.sync_command(workspace, &[("RCLONE_BWLIMIT", "64Ki")]);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }

    fn sync_command(&self, workspace: &Path, more: &[(&str, &str)]) -> Command {
        let job: CronJob = serde_saphyr::from_str(&file("cronjob.yaml")).unwrap();
        let pod = job.spec.unwrap().job_template.spec.unwrap().template.spec.unwrap();
        self.command(&pod, true, workspace, more)
    }

    /// Runs the command of the restore Job on a workspace, from where it says itself or from elsewhere.
    pub(super) async fn restore(&self, workspace: &Path, from: Option<&str>) -> Outcome {
        let job: Job = serde_saphyr::from_str(&file("restore-job.yaml")).unwrap();
        let pod = job.spec.unwrap().template.spec.unwrap();
        let from = from.map(|from| ("FROM", from));
        self.run(self.command(&pod, false, workspace, from.as_slice())).await
    }

    /// The same into a new workspace, that has to be done.
    pub(super) async fn restored(&self, name: &str, from: Option<&str>) -> PathBuf {
        let workspace = self.workspace(name);
        self.restore(&workspace, from).await.done();
        workspace
    }

    /// A pod's command as a kubelet would run it. What differs is in variables that the manifests have for it: where the
    /// workspace and the store are.
    fn command(&self, pod: &PodSpec, read_only: bool, workspace: &Path, more: &[(&str, &str)]) -> Command {
        let container = only_container(pod);
        let mut env = environment(container);
        is_mounted(pod, container, &env["WORKSPACE"], read_only);
        let here = [
            ("WORKSPACE", workspace.to_str().unwrap()),
            ("BUCKET", BUCKET),
            ("AWS_ACCESS_KEY_ID", self.store.access_key()),
            ("AWS_SECRET_ACCESS_KEY", self.store.secret_key()),
            ("RCLONE_S3_PROVIDER", "Minio"),
            ("RCLONE_S3_ENDPOINT", self.store.url()),
        ];
        for (name, value) in here {
            let known = env.insert(name.to_owned(), value.to_owned());
            assert!(known.is_some(), "the manifests have no {name}");
        }
        env.extend(more.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let mut words = command_line(container, &env);
        // The pods drop all capabilities. With root's a restore has no complaint about files that nobody may write; without
        // them rclone has one, and is done at its second attempt.
        if read_only {
            words.splice(0..0, without_capabilities());
        }
        let tools = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{tools}", self.rclone.parent().unwrap().display());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(&env).env("PATH", path).current_dir(self.folder.path());
        // As the image says, where nothing is: no configuration of whoever runs this.
        command.env("XDG_CONFIG_HOME", "/config");
        command
    }

    async fn run(&self, mut command: Command) -> Outcome {
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap();
        let log = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Outcome { success: output.status.success(), log }
    }
}

/// How a command ended.
pub(super) struct Outcome {
    success: bool,
    log: String,
}

impl Outcome {
    /// It succeeded without a complaint, and its log is given.
    pub(super) fn done(self) -> String {
        assert!(self.success && !self.log.contains("ERROR"), "{}", self.log);
        self.log
    }

    /// It failed, and its log is given.
    pub(super) fn failed(self) -> String {
        assert!(!self.success, "{}", self.log);
        self.log
    }
}

/// A command under way.
pub(super) struct Running(Child);

impl Running {
    /// Ends it with all that it has started, as the loss of its node does.
    pub(super) async fn kill(mut self) {
        let group = format!("-{}", self.0.id().expect("it has not ended"));
        let killed = Command::new("kill").args(["-s", "KILL", "--", &group]).status().await.unwrap();
        assert!(killed.success());
        assert!(!self.0.wait().await.unwrap().success());
    }
}

/// What goes before a command so that it may read no more for root than for others.
fn without_capabilities() -> Vec<String> {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let words: &[&str] = if is_root { &["setpriv", "--bounding-set=-all"] } else { &[] };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The one container of a pod, which runs the rclone that is tested here.
fn only_container(pod: &PodSpec) -> &Container {
    let [container] = &pod.containers[..] else { panic!("{} containers", pod.containers.len()) };
    let go_mod = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/go/rclone/go.mod");
    let go_mod = std::fs::read_to_string(go_mod).unwrap();
    let (_, version) = go_mod.split_once("require github.com/rclone/rclone v").unwrap();
    let version = version.lines().next().unwrap();
    assert_eq!(container.image, Some(format!("docker.io/rclone/rclone:{version}")));
    container
}

/// What a kubelet puts into the environment: the Secret's content, and what the container says itself.
fn environment(container: &Container) -> BTreeMap<String, String> {
    let secret = secret();
    let mut env = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        assert_eq!(source.secret_ref.as_ref().map(|secret| &secret.name), secret.metadata.name.as_ref());
        env.extend(secret.string_data.clone().unwrap());
    }
    let own = container.env.iter().flatten();
    env.extend(own.map(|variable| (variable.name.clone(), variable.value.clone().unwrap())));
    env
}

/// The workspace's claim is mounted at a path, read-only or not.
fn is_mounted(pod: &PodSpec, container: &Container, path: &str, read_only: bool) {
    let [mount] = container.volume_mounts.as_deref().unwrap() else { panic!("more than one mount") };
    let [volume] = pod.volumes.as_deref().unwrap() else { panic!("more than one volume") };
    let claim = volume.persistent_volume_claim.as_ref().unwrap();
    assert_eq!((mount.mount_path.as_str(), &mount.name), (path, &volume.name));
    assert_eq!(
        (mount.read_only.unwrap_or_default(), claim.read_only.unwrap_or_default()),
        (read_only, read_only)
    );
}

/// The words that a container runs. A kubelet would put variables in place of `$(NAME)` and a `$` in place of two; none
/// are there, so that the shell gets what is written.
fn command_line(container: &Container, env: &BTreeMap<String, String>) -> Vec<String> {
    let words = [container.command.clone().unwrap(), container.args.clone().unwrap()].concat();
    for word in &words {
        assert!(!word.contains("$$"), "{word}");
        assert!(!env.keys().any(|name| word.contains(&format!("$({name})"))), "{word}");
    }
    words
}
