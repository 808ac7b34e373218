//! The `agenttier-backup` command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    agenttier_backup::cli::run().await
}
