//! `completions`: what a shell needs to complete our commands.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

/// Prints a script that makes a shell complete commands, options and their values.
///
/// Examples:
///   source <(agenttier-backup completions bash)                     # this shell; or from ~/.bashrc
///   agenttier-backup completions zsh > "${fpath[1]}/_agenttier-backup"
///   agenttier-backup completions fish > ~/.config/fish/completions/agenttier-backup.fish
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut cli = Cli::command();
        let name = cli.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli, name, &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(())
    }
}
