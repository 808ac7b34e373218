//! A process under the supervisor.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::watch;

use crate::supervisor::Line;

/// How long a process may take to end where its end is waited for.
const LIMIT: Duration = Duration::from_mins(20);
/// How many lines of a log are shown.
const TAIL: usize = 30;

/// A running or ended process. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Process {
    name: String,
    pid: u32,
    number: u64,
    log: PathBuf,
    exit: watch::Receiver<Option<Exit>>,
    line: Arc<Line>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal, such as `SIGKILL`.
    Signal(String),
}

/// A signal that a test has use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: asks to end.
    Term,
    /// SIGINT: what Ctrl-C sends.
    Int,
    /// SIGKILL: ends at once.
    Kill,
    /// SIGSTOP: freezes.
    Stop,
    /// SIGCONT: thaws.
    Continue,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
            Self::Continue => "SIGCONT",
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(out, "exit code {code}"),
            Self::Signal(signal) => out.write_str(signal),
        }
    }
}

impl Process {
    pub(crate) fn new(
        name: String,
        pid: u32,
        number: u64,
        log: PathBuf,
        exit: watch::Receiver<Option<Exit>>,
        line: Arc<Line>,
    ) -> Self {
        Self { name, pid, number, log, exit, line }
    }

    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process's id; also that of its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the process and all it has started. One that has
    /// ended gets none, and that is no error.
    ///
    /// # Errors
    /// When the cluster is gone.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        self.line
            .signal(self.number, signal)
            .await
            .with_context(|| format!("send {} to {}", signal.name(), self.name))
    }

    /// Ends it at once and waits until it is gone.
    ///
    /// # Errors
    /// When the cluster is gone.
    pub async fn kill(&self) -> Result<Exit> {
        self.signal(Signal::Kill).await?;
        self.wait().await
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the cluster is gone, or that takes more than 20 minutes.
    pub async fn wait(&self) -> Result<Exit> {
        let mut exit = self.exit.clone();
        let ended = tokio::time::timeout(LIMIT, exit.wait_for(Option::is_some)).await;
        let ended =
            ended.with_context(|| format!("{} does not end:\n{}", self.name, tail(&self.log, TAIL)))?;
        ended
            .ok()
            .and_then(|exit| exit.clone())
            .ok_or_else(|| anyhow!("{} ended with its cluster", self.name))
    }

    /// What it has written so far to both its outputs, with that of earlier
    /// processes of its name.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log).with_context(|| format!("read the log of {}", self.name))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The file that holds [`Self::log`].
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Prints how it is and the end of its log, for who looks into a panic.
    pub(crate) fn print_end(&self, owner: &str) {
        let state = self.exit().map_or_else(|| "running".to_owned(), |exit| exit.to_string());
        eprintln!("──── {owner} / {} ({state})", self.name);
        eprintln!("{}", tail(&self.log, TAIL));
    }
}

/// The last lines of a log; empty when there is none.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let all = text.lines().collect::<Vec<_>>();
    all[all.len().saturating_sub(lines)..].join("\n")
}
