//! `restore`: a recovery point back into a live sandbox.

use std::time::Duration;

use agenttier_backup_plan::restore::{Start, Step};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::Cluster;
use super::output::{Format, Output};
use crate::restore::{Restore as Run, Restored};

/// Restores a sandbox's workspace from a recovery point into a new sandbox beside it.
///
/// The volume is made first, then the sandbox on top of it, in an order that keeps AgentTier from putting the
/// new sandbox on an empty warm-pool volume. The source sandbox is not touched. Interrupted, it goes on where
/// it was when the same command is run again.
///
/// Examples:
///   agenttier-backup restore s1 -n team-a
///   agenttier-backup restore s1 -n team-a --as s1-yesterday --from s1-workspace-backup-1760000000
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Restore {
    /// The sandbox to restore
    sandbox: String,
    /// Its namespace
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    namespace: String,
    /// The recovery point (a VolumeSnapshot) [default: the newest ready one]
    #[arg(long, value_name = "SNAPSHOT")]
    from: Option<String>,
    /// Name of the new sandbox [default: <SANDBOX>-restored]
    #[arg(long = "as", value_name = "NAME")]
    target: Option<String>,
    /// Whether the new sandbox is to run
    #[arg(long, value_enum, default_value = "running", value_name = "STATE")]
    start: StartArg,
    /// Give up waiting after so many seconds; the same command goes on later
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StartArg {
    /// Boot it
    Running,
    /// Leave it stopped; it boots on its data when it is resumed
    Stopped,
}

impl Restore {
    pub(super) async fn run(self, cluster: &Cluster) -> anyhow::Result<()> {
        let client = cluster.client().await?;
        let target = self.target.unwrap_or_else(|| format!("{}-restored", self.sandbox));
        let start = match self.start {
            StartArg::Running => Start::Running,
            StartArg::Stopped => Start::Stopped,
        };
        let from = self.from.as_deref();
        let restore = Run::prepare(&client, &self.namespace, &self.sandbox, from, &target, start).await?;
        let progress = Progress::start(self.output.output == Format::Table);
        progress.say(&format!(
            "{}/{target} from {}, data of {}",
            self.namespace,
            restore.point.snapshot.metadata.name.as_deref().unwrap_or_default(),
            restore.point.taken_at
        ));
        let limit = Duration::from_secs(self.timeout);
        let result = restore.run(&client, limit, |step| progress.step(step)).await;
        progress.finish();
        self.output.print(&result?, print)
    }
}

fn print(restored: &Restored) {
    println!(
        "sandbox {}/{} is {} on volume {} ({:.1} s)",
        restored.namespace, restored.sandbox, restored.phase, restored.claim, restored.seconds
    );
}

/// A spinner on a terminal, lines elsewhere, nothing beside JSON and YAML.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn start(wanted: bool) -> Self {
        let bar = wanted.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) if bar.is_hidden() => eprintln!("{line}"),
            Some(bar) => bar.println(line),
            None => {}
        }
    }

    fn step(&self, step: &Step) {
        let text = match step {
            Step::CreateClaim => "making the volume from the recovery point",
            Step::AwaitBound => "waiting for the volume to be bound",
            Step::CreateSandbox => "making the sandbox on it",
            Step::Park => "putting the sandbox on its volume",
            Step::Adopt => "making the sandbox the volume's owner",
            Step::Start => "starting the sandbox",
            Step::AwaitRunning => "waiting for the sandbox to run",
            Step::StopRobbed => "it came up on a warm-pool volume: stopping it to put it back",
            Step::AwaitStopped => "waiting for it to stop",
            Step::Done | Step::Refuse(_) => return,
        };
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
        self.say(&format!("  {text}"));
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
