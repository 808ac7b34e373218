//! The owner of all processes: a small program that outlives us by a moment.
//!
//! Nothing that this crate starts is a child of the test process, except the
//! supervisor (go/cluster/supervisor). When the test process ends, in whatever
//! way, the supervisor's standard input closes, and it takes everything down.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use crate::control_plane::PATIENCE;
use crate::process::{Exit, Process, Signal};

/// What is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
    /// Added to the environment that is passed on.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
}

/// A running supervisor; dropping it ends its processes and removes its folder.
#[derive(Debug)]
pub(crate) struct Supervisor {
    line: Arc<Line>,
    dir: PathBuf,
    environment: Environment,
    ended: watch::Receiver<bool>,
}

/// What processes get of our own environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Environment {
    /// Nothing that would lead a client away from our cluster and object store.
    Own,
    /// The same, but proxies and credentials of AWS: the way to somebody else's
    /// cluster may need them.
    Callers,
}

/// The connection to a supervisor.
#[derive(Debug)]
pub(crate) struct Line {
    stdin: Mutex<Option<ChildStdin>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    answers: HashMap<u64, oneshot::Sender<Result<u32, String>>>,
    exits: HashMap<u64, watch::Sender<Option<Exit>>>,
    over: bool,
}

#[derive(Debug, Default, Serialize)]
struct Order<'a> {
    number: u64,
    r#do: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a Path>,
    args: &'a [String],
    env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a Path>,
    child: u64,
    signal: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Ready {
        dir: PathBuf,
    },
    Done {
        number: u64,
        #[serde(default)]
        pid: u32,
    },
    Failed {
        number: u64,
        error: String,
    },
    Exited {
        number: u64,
        code: Option<i32>,
        signal: Option<String>,
    },
}

impl Supervisor {
    /// Starts the supervisor `binary`, which makes its folder.
    pub(crate) async fn launch(binary: &Path, environment: Environment) -> Result<Self> {
        let mut child = Command::new(binary)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start the supervisor {}", binary.display()))?;
        let stdin = child.stdin.take().context("its standard input is piped")?;
        let stdout = child.stdout.take().context("its standard output is piped")?;
        let line = Arc::new(Line { stdin: Mutex::new(Some(stdin)), state: Mutex::new(State::default()) });
        let (ready, dir) = oneshot::channel();
        let (gone, ended) = watch::channel(false);
        let listener = Arc::clone(&line);
        // A thread, not a task: a cluster may be used from several runtimes,
        // and its processes' ends are heard whichever of them is left.
        std::thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
            listener.listen(BufReader::new(stdout), ready);
            // It has closed its output; what is left of it is its exit.
            let _ = child.wait();
            gone.send_replace(true);
        })?;
        let dir = dir.await.map_err(|_| anyhow!("the supervisor ended before it was ready"))?;
        for part in ["log", "tmp"] {
            std::fs::create_dir(dir.join(part)).context("prepare the supervisor's folder")?;
        }
        Ok(Self { line, dir, environment, ended })
    }

    /// The folder that goes with this supervisor.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a process of that name logs to.
    pub(crate) fn log_of(&self, name: &str) -> PathBuf {
        self.dir.join("log").join(format!("{name}.log"))
    }

    /// Starts a process in a group of its own; its output goes to its log.
    pub(crate) async fn start(&self, name: &str, launch: &Launch) -> Result<Process> {
        let log = self.log_of(name);
        let (exit_sender, exit) = watch::channel(None);
        let order = Order {
            r#do: "start",
            path: Some(&launch.path),
            args: &launch.args,
            env: self.environment(&launch.env),
            cwd: Some(&launch.cwd),
            log: Some(&log),
            ..Order::default()
        };
        let (number, pid) =
            self.line.ask(order, Some(exit_sender)).await.with_context(|| format!("start {name}"))?;
        Ok(Process::new(name.to_owned(), pid, number, log, exit, Arc::clone(&self.line)))
    }

    /// Leaves the folder in place at the end if `TESTBED_KEEP=1` asks for that,
    /// and then says whose it is.
    pub(crate) async fn keep_if_asked(&self, whose: &str) -> Result<()> {
        if std::env::var_os("TESTBED_KEEP").is_some_and(|value| value == "1") {
            self.line.ask(Order { r#do: "keep", ..Order::default() }, None).await?;
            eprintln!("testbed: {whose} keeps its folder {}", self.dir().display());
        }
        Ok(())
    }

    /// Lets the supervisor take everything down.
    pub(crate) fn close(&self) {
        *lock(&self.line.stdin) = None;
    }

    /// Waits until all processes and the folder are gone.
    pub(crate) async fn ended(&self) -> Result<()> {
        self.ended.clone().wait_for(|over| *over).await.context("the listener lives until the end")?;
        Ok(())
    }

    /// Ours, without what would lead a client astray.
    fn environment(&self, more: &[(String, String)]) -> Vec<String> {
        let tmp = ("TMPDIR".to_owned(), self.dir.join("tmp").to_string_lossy().into_owned());
        let mut all = std::env::vars_os()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .filter(|(name, _)| {
                let name = name.to_ascii_uppercase();
                !(name == "KUBECONFIG"
                    || (self.environment == Environment::Own
                        && (name.ends_with("_PROXY") || name.starts_with("AWS_")))
                    || ["KUBERNETES_", "HELM_", "VELERO_", "TESTBED_"]
                        .iter()
                        .any(|prefix| name.starts_with(prefix)))
            })
            .collect::<HashMap<_, _>>();
        // Components are short-lived, and there is more memory than there is time: a fifth of theirs is spent on clearing up.
        all.entry("GOGC".to_owned()).or_insert_with(|| "400".to_owned());
        all.extend([tmp]);
        all.extend(more.iter().cloned());
        all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.close();
    }
}

impl Line {
    /// Sends a signal to a process's group.
    pub(crate) async fn signal(&self, child: u64, signal: Signal) -> Result<()> {
        self.ask(Order { r#do: "signal", child, signal: signal.name(), ..Order::default() }, None)
            .await
            .map(|_| ())
    }

    /// Gives an order and waits for its answer: its number, and a pid.
    async fn ask(
        &self,
        mut order: Order<'_>,
        exit: Option<watch::Sender<Option<Exit>>>,
    ) -> Result<(u64, u32)> {
        let (sender, answer) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            if state.over {
                bail!("the supervisor has ended");
            }
            state.last_number += 1;
            order.number = state.last_number;
            state.answers.insert(order.number, sender);
            // Before the order goes out: a short process ends before its start is told.
            if let Some(exit) = exit {
                state.exits.insert(order.number, exit);
            }
        }
        let mut text = serde_json::to_string(&order)?;
        text.push('\n');
        lock(&self.stdin)
            .as_mut()
            .context("the cluster was stopped")?
            .write_all(text.as_bytes())
            .context("the supervisor does not listen any more")?;
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        match answer.context("the supervisor does not answer")? {
            Ok(Ok(pid)) => Ok((order.number, pid)),
            Ok(Err(error)) => Err(anyhow!(error)),
            Err(_) => Err(anyhow!("the supervisor ended before it answered")),
        }
    }

    fn listen(&self, output: impl BufRead, ready: oneshot::Sender<PathBuf>) {
        let mut ready = Some(ready);
        for line in output.lines().map_while(Result::ok) {
            let Ok(event) = serde_json::from_str(&line) else { break };
            let mut state = lock(&self.state);
            // A receiver that is gone no longer wants to know.
            match event {
                Event::Ready { dir } => {
                    let _ = ready.take().map(|ready| ready.send(dir));
                }
                Event::Done { number, pid } => {
                    let _ = state.answers.remove(&number).map(|answer| answer.send(Ok(pid)));
                }
                Event::Failed { number, error } => {
                    state.exits.remove(&number);
                    let _ = state.answers.remove(&number).map(|answer| answer.send(Err(error)));
                }
                Event::Exited { number, code, signal } => {
                    let exit = match (code, signal) {
                        (Some(code), _) => Exit::Code(code),
                        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
                    };
                    let _ = state.exits.remove(&number).map(|waiting| waiting.send_replace(Some(exit)));
                }
            }
        }
        let mut state = lock(&self.state);
        state.over = true;
        state.answers.clear();
        state.exits.clear();
    }
}

fn text(value: OsString) -> Option<String> {
    value.into_string().ok()
}

/// No code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
