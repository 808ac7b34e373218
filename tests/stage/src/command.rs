//! The product's commands, run as a person runs them.

use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use testbed::{Exit, Process, WrongClock};

use crate::Stage;

/// What a command printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it printed, errors included.
    pub text: String,
}

impl Output {
    /// The text of a command that ended well.
    ///
    /// # Errors
    /// When it did not.
    pub fn good(self) -> Result<String> {
        ensure!(self.exit == Exit::Code(0), "the command ended with {}:\n{}", self.exit, self.text);
        Ok(self.text)
    }

    /// The JSON that a command with `-o json` printed.
    ///
    /// # Errors
    /// When it did not end well or printed something else.
    pub fn json(self) -> Result<serde_json::Value> {
        let text = self.good()?;
        serde_json::from_str(&text).with_context(|| format!("not JSON:\n{text}"))
    }
}

impl Stage {
    /// Runs `agenttier-backup` with these arguments and a person's rights (all of them), to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        ended(self.begin(args, self.cluster.kubeconfig()).await?).await
    }

    /// The same, with a clock that may be wrong.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run_by(&self, clock: &WrongClock, args: &[&str]) -> Result<Output> {
        let env = clock.env();
        let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
        ended(self.begin_in(args, self.cluster.kubeconfig(), &env).await?).await
    }

    /// Starts `agenttier-backup` with these arguments and that kubeconfig, and does not wait for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn begin(&self, args: &[&str], kubeconfig: &Path) -> Result<Process> {
        self.begin_in(args, kubeconfig, &[]).await
    }

    async fn begin_in(&self, args: &[&str], kubeconfig: &Path, env: &[(&str, &str)]) -> Result<Process> {
        let name = format!("command-{}", self.commands.fetch_add(1, Ordering::Relaxed));
        let kubeconfig = kubeconfig.display().to_string();
        let mut all = vec!["--kubeconfig", kubeconfig.as_str()];
        all.extend(args);
        let env = [&[("NO_COLOR", "1")], env].concat();
        self.cluster.spawn(&name, &self.program, &all, &env).await
    }
}

async fn ended(process: Process) -> Result<Output> {
    let exit = process.wait().await?;
    Ok(Output { exit, text: process.log()? })
}
