//! The product's commands, run as a person runs them.

use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use testbed::{Exit, Process};

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
        let process = self.begin(args, self.cluster.kubeconfig()).await?;
        let exit = process.wait().await?;
        Ok(Output { exit, text: process.log()? })
    }

    /// Starts `agenttier-backup` with these arguments and that kubeconfig, and does not wait for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn begin(&self, args: &[&str], kubeconfig: &Path) -> Result<Process> {
        let name = format!("command-{}", self.commands.fetch_add(1, Ordering::Relaxed));
        let kubeconfig = kubeconfig.display().to_string();
        let mut all = vec!["--kubeconfig", kubeconfig.as_str()];
        all.extend(args);
        self.cluster.spawn(&name, &self.program, &all, &[("NO_COLOR", "1")]).await
    }
}
