//! The command line: one file per subcommand.

mod backup;
mod completions;
mod controller;
mod crds;
mod list;
mod moment;
mod output;
mod pin;
mod plan;
mod restore;
mod screen;
mod unpin;
mod velero;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use kube::Client;

use crate::api_error::sentence;
use crate::client::{Connection, Purpose, connect};

/// Makes every AgentTier sandbox workspace recoverable.
///
/// The controller takes CSI snapshots of all workspace volumes on an interval and prunes them by
/// retention, as BackupPolicy objects say. The other commands look and restore; they need no more than your
/// own rights in the cluster.
#[derive(Debug, Parser)]
#[command(name = "agenttier-backup", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    cluster: Cluster,
    #[command(subcommand)]
    command: Command,
}

// What a command says of itself stands at its own type; here it would hide that.
#[derive(Debug, Subcommand)]
enum Command {
    Controller(controller::Controller),
    Plan(plan::Plan),
    List(list::List),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Pin(pin::Pin),
    Unpin(unpin::Unpin),
    Crds(crds::Crds),
    Completions(completions::Completions),
}

/// Which cluster to talk to.
#[derive(Debug, Args)]
struct Cluster {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
}

/// Which namespaces to look at.
#[derive(Debug, Args)]
struct Scope {
    /// Only this namespace [default: all]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
}

impl Cluster {
    /// A client for commands that look, act and leave.
    async fn client(&self) -> anyhow::Result<Client> {
        Ok(self.connect(Purpose::Calls).await?.client)
    }

    async fn connect(&self, purpose: Purpose) -> anyhow::Result<Connection> {
        connect(self.kubeconfig.as_deref(), self.context.as_deref(), purpose).await
    }

    /// How a command line begins that is to reach the same cluster, up to the subcommand.
    fn program(&self) -> String {
        let kubeconfig = self.kubeconfig.as_ref().map(|path| ("kubeconfig", path.display().to_string()));
        let context = self.context.as_ref().map(|context| ("context", context.clone()));
        let choice = kubeconfig.into_iter().chain(context);
        let choice = choice.map(|(name, value)| format!(" --{name} {}", quoted(&value)));
        Cli::command().get_name().to_owned() + &choice.collect::<String>()
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Parses the arguments, runs the command, reports an error with its causes.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Controller(command) => command.run(&cli.cluster).await,
        Command::Plan(command) => command.run(&cli.cluster).await,
        Command::List(command) => command.run(&cli.cluster).await,
        Command::Backup(command) => command.run(&cli.cluster).await,
        Command::Restore(command) => command.run(&cli.cluster).await,
        Command::Pin(command) => command.run(&cli.cluster).await,
        Command::Unpin(command) => command.run(&cli.cluster).await,
        Command::Crds(command) => command.run(&cli.cluster).await,
        Command::Completions(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, down to the API server's word.
fn told(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = vec![];
    for cause in error.chain() {
        let (text, is_last) = match cause.downcast_ref::<kube::Error>() {
            Some(error) => (sentence(error), true),
            None => (cause.to_string(), false),
        };
        // Some errors repeat their cause in their own text.
        if !told.last().is_some_and(|outer| outer.contains(&text)) {
            told.push(text);
        }
        if is_last {
            break;
        }
    }
    told.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use kube::core::Status;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// Every command teaches what its own documentation says, and the list of commands has a line of each.
    #[test]
    fn help_teaches() {
        let mut cli = Cli::command();
        for (command, taught) in [
            ("plan", "nothing is\nchanged"),
            ("plan", "Examples:\n  agenttier-backup plan\n"),
            ("plan", "agenttier-backup plan --schedules"),
            ("list", "newest first"),
            ("backup", "agenttier-backup backup team-a/s1 --wait"),
            ("backup", "no second one is taken"),
            ("restore", "agenttier-backup restore s1 -n team-a --as-of 2h"),
            ("restore", "Examples:\n  agenttier-backup restore s1 -n team-a\n"),
            ("controller", "BackupPolicy"),
            ("pin", "agenttier-backup pin --sandbox s1 -n team-a"),
            ("unpin", "Examples:\n  agenttier-backup unpin "),
            ("crds", "Examples:\n  agenttier-backup crds "),
            ("completions", "Examples:\n  source <(agenttier-backup completions bash)"),
        ] {
            let command = cli.find_subcommand_mut(command).expect("a subcommand");
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let unwrapped = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let help = command.render_long_help().to_string();
            assert!(unwrapped(&help).contains(&unwrapped(taught)), "{help}");
        }
    }

    /// What a shell happens to export is no option of a person's command: only the controller is set by its environment.
    #[test]
    fn variables_of_a_shell_do_not_matter() {
        let cli = Cli::command();
        for command in cli.get_subcommands() {
            let by_variable = command.get_arguments().any(|argument| argument.get_env().is_some());
            assert_eq!(by_variable, command.get_name() == "controller", "{}", command.get_name());
        }
    }

    #[test]
    fn an_error_is_told_once_and_in_the_api_servers_words() {
        let status = Status::failure("pods \"p\" is forbidden", "Forbidden").with_code(403);
        let refused = || kube::Error::Api(Box::new(status.clone()));
        let error = Err::<(), _>(refused()).context("cannot list pods").expect_err("an error");
        assert_eq!(told(&error), "cannot list pods: pods \"p\" is forbidden");
        let repeating = anyhow::Error::new(refused()).context("pods \"p\" is forbidden (403)");
        assert_eq!(told(&repeating), "pods \"p\" is forbidden (403)");
        assert_eq!(told(&anyhow::anyhow!("inner").context("outer")), "outer: inner");
    }
}
