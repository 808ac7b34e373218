//! The product's own program, built from this checkout.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// Builds `agenttier-backup` and tells where it is.
///
/// # Errors
/// When cargo cannot build it.
pub(super) async fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--package", "agenttier-backup", "--bin", "agenttier-backup"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("run cargo")?;
    ensure!(output.status.success(), "cargo cannot build agenttier-backup");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo has not said where agenttier-backup is")
}
