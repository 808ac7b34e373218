//! The Go toolchain, and one cached folder of what it builds.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::components::Pins;
use crate::forge::{files, key, module_folder};
use crate::process::{Exit, tail};
use crate::progress::Progress;
use crate::supervisor::{Environment, Launch, Supervisor};

/// A Go toolchain that fits.
#[derive(Debug)]
pub(crate) struct Go {
    version: String,
}

/// What is built from a package.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build {
    /// `go build`: name of the binary, package.
    Program(&'static str, &'static str),
    /// `go test -c`: name of the binary, package.
    Test(&'static str, &'static str),
}

impl Build {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Program(name, _) | Self::Test(name, _) => name,
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Program(_, package) | Self::Test(_, package) => package,
        }
    }

    /// Whether `go build` gives the binary this name by itself.
    fn is_named_after_its_package(self) -> bool {
        matches!(self, Self::Program(name, package) if package.rsplit('/').next() == Some(name))
    }
}

/// Who runs the Go toolchain.
#[derive(Debug)]
pub(crate) enum Runner {
    /// We: for the supervisor itself, a matter of seconds.
    Direct,
    /// A supervisor, this binary, so that a build does not outlive us.
    Supervised(PathBuf),
}

/// One cached folder: everything in it appeared whole, by a rename.
#[derive(Debug)]
pub(crate) struct Keyed {
    name: &'static str,
    folder: PathBuf,
    module: PathBuf,
    ldflags: String,
}

impl Go {
    /// Finds the toolchain, or says what to install.
    pub(crate) async fn find() -> Result<Self> {
        const INSTALL: &str = "the cluster's components are built with Go 1.26 or newer: install it from https://go.dev/dl and put `go` on PATH";
        let answer = Command::new("go")
            .arg("version")
            // In the module, where Go picks (or fetches) the toolchain it asks for.
            .current_dir(module_folder(Pins::Cluster)?)
            .output()
            .await
            .context(INSTALL)?;
        if !answer.status.success() {
            bail!("{INSTALL}\n`go version` said: {}", String::from_utf8_lossy(&answer.stderr).trim());
        }
        Ok(Self { version: String::from_utf8_lossy(&answer.stdout).trim().to_owned() })
    }

    /// The folder for what is built from a module, and from these `sources` of ours.
    pub(crate) fn keyed(
        &self,
        cache: &Path,
        name: &'static str,
        module: Pins,
        sources: &[&str],
        ldflags: &str,
    ) -> Result<Keyed> {
        let module = module_folder(module)?;
        let mut inputs = vec![module.join("go.mod"), module.join("go.sum")];
        for source in sources {
            let mut own = files(&module.join(source))?;
            own.sort();
            inputs.extend(own.into_iter().filter(|path| path.extension().is_some_and(|end| end == "go")));
        }
        let mut parts = vec![self.version.clone().into_bytes(), ldflags.as_bytes().to_vec()];
        for file in inputs {
            parts.push(file.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default());
            parts.push(fs::read(&file).with_context(|| format!("read {}", file.display()))?);
        }
        let folder = cache.join(format!("{name}-{}", key(parts.iter().map(Vec::as_slice))));
        Ok(Keyed { name, folder, module, ldflags: ldflags.to_owned() })
    }
}

impl Keyed {
    /// Where something of this folder lies once it is there.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Builds those that are not there yet. Two processes do not build at once.
    pub(crate) async fn build(
        &self,
        runner: &Runner,
        builds: &[Build],
        progress: &dyn Progress,
    ) -> Result<()> {
        let is_missing = |build: &&Build| !self.path(build.name()).exists();
        if !builds.iter().any(|build| is_missing(&build)) {
            return Ok(());
        }
        let task = format!("build {}", self.name);
        let partial = self.partial()?;
        let _lock = self.lock(&task, progress).await?;
        let missing = builds.iter().filter(is_missing).copied().collect::<Vec<_>>();
        let into_partial = |name: &str| partial.join(name).to_string_lossy().into_owned();
        let flags =
            ["-trimpath", "-buildvcs=false", "-v", "-ldflags", &self.ldflags].map(str::to_owned).to_vec();

        let mut runs = Vec::new();
        let (plain, named): (Vec<Build>, Vec<Build>) =
            missing.iter().partition(|build| build.is_named_after_its_package());
        if !plain.is_empty() {
            // In one go: what they share is compiled once, and links overlap.
            let mut args = [vec!["build".to_owned()], flags.clone()].concat();
            args.extend(["-o".to_owned(), format!("{}/", partial.display())]);
            args.extend(plain.iter().map(|build| build.package().to_owned()));
            runs.push(args);
        }
        for build in named {
            let verb: &[&str] = if matches!(build, Build::Test(..)) { &["test", "-c"] } else { &["build"] };
            let mut args = verb.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
            args.extend(flags.clone());
            args.extend(["-o".to_owned(), into_partial(build.name()), build.package().to_owned()]);
            runs.push(args);
        }

        let packages = missing.iter().map(|build| build.package().to_owned());
        let list = [vec!["list".to_owned(), "-deps".to_owned()], packages.collect()].concat();
        progress.update(&task, 0, 0, "looking at its packages");
        let total = self.go(runner, list, &mut |now| progress.update(&task, 0, 0, now)).await?.len() as u64;
        let mut done = 0;
        for args in runs {
            let mut count = |now: &str| {
                done += u64::from(!now.starts_with("go: "));
                progress.update(&task, done.min(total), total, now);
            };
            self.go(runner, args, &mut count).await?;
        }
        for build in missing {
            fs::rename(partial.join(build.name()), self.path(build.name()))?;
        }
        progress.finished(&task);
        Ok(())
    }

    /// Copies files out of a module's published source into the folder `name`.
    pub(crate) async fn copy(
        &self,
        runner: &Runner,
        module: &str,
        name: &str,
        pick: impl Fn(&Path) -> Result<Vec<PathBuf>>,
    ) -> Result<()> {
        if self.path(name).exists() {
            return Ok(());
        }
        let download = ["mod", "download", module].map(str::to_owned).to_vec();
        self.go(runner, download, &mut |_| ()).await?;
        let find = ["list", "-m", "-f", "{{.Dir}}", module].map(str::to_owned).to_vec();
        let source = self.go(runner, find, &mut |_| ()).await?.pop().context("go list names a folder")?;
        let partial = tempfile::Builder::new().prefix(name).tempdir_in(self.partial()?)?;
        for file in pick(Path::new(&source)).with_context(|| format!("look into {source}"))? {
            let name = file.file_name().context("a file has a name")?;
            // Read and written, since a copy would be as read-only as the module.
            fs::write(partial.path().join(name), fs::read(&file)?)?;
        }
        match fs::rename(partial.keep(), self.path(name)) {
            // Somebody else was quicker, with the same content.
            Err(_) if self.path(name).exists() => Ok(()),
            renamed => renamed.map_err(Into::into),
        }
    }

    /// What is not whole yet; an interrupted build leaves its part here, and
    /// the next one overwrites it.
    fn partial(&self) -> Result<PathBuf> {
        let partial = self.folder.join("partial");
        fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
        Ok(partial)
    }

    async fn lock(&self, task: &str, progress: &dyn Progress) -> Result<File> {
        let lock = File::create(self.folder.join("lock"))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    progress.update(task, 0, 0, "another process is building it");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }

    /// Runs the Go toolchain; `hear` gets each line as it comes. The lines
    /// that are no remark of the toolchain's own are returned.
    async fn go(
        &self,
        runner: &Runner,
        args: Vec<String>,
        hear: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Vec<String>> {
        let what = format!("go {}", args.join(" "));
        let env = [("CGO_ENABLED", "0"), ("GOWORK", "off")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let (success, output) = match runner {
            Runner::Direct => {
                let mut command = Command::new("go");
                command.args(args).envs(env).current_dir(&self.module).stdin(Stdio::null());
                let output = command.kill_on_drop(true).output().await?;
                let text = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
                text.lines().for_each(&mut *hear);
                (output.status.success(), text)
            }
            Runner::Supervised(supervisor) => {
                let launch = Launch { path: "go".into(), args, env: env.to_vec(), cwd: self.module.clone() };
                supervised(&Supervisor::launch(supervisor, Environment::Callers).await?, &launch, hear)
                    .await?
            }
        };
        if !success {
            bail!("`{what}` failed:\n{output}");
        }
        Ok(output.lines().filter(|line| !line.starts_with("go: ")).map(str::to_owned).collect())
    }
}

/// Runs a command under the supervisor, and reads its log as it grows.
async fn supervised(
    supervisor: &Supervisor,
    launch: &Launch,
    hear: &mut (dyn FnMut(&str) + Send),
) -> Result<(bool, String)> {
    let process = supervisor.start("go", launch).await?;
    let mut heard = 0;
    let exit = loop {
        let ended = tokio::time::timeout(Duration::from_millis(200), process.wait()).await;
        let text = process.log()?;
        // Whole lines only.
        let new = text[heard..].rfind('\n').map_or(heard, |end| heard + end + 1);
        text[heard..new].lines().for_each(&mut *hear);
        heard = new;
        if let Ok(exit) = ended {
            break exit?;
        }
    };
    let success = exit == Exit::Code(0);
    let output = if success { process.log()? } else { tail(process.log_path(), 40) };
    Ok((success, output))
}
