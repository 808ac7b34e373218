//! `restore`: a recovery point back into a live sandbox.

use std::time::Duration;

use agenttier_backup_plan::restore::{Start, Step};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::Cluster;
use super::moment::Moment;
use super::output::{Format, Output};
use super::screen::Screen;
use crate::restore::{Order, Progress, Restored, restore};

/// Restores a sandbox's workspace from a recovery point into a new sandbox beside it.
///
/// The volume is made first, then the sandbox on top of it, in an order that keeps AgentTier from
/// putting the new sandbox on an empty warm-pool volume. The source sandbox is not touched.
/// Interrupted, it goes on where it was when the same command is run again.
///
/// A moment for --as-of is such as 2026-11-20T10:00:00Z or 2026-11-20T10:00+01:00; without a zone it
/// is in UTC. Or it says how long ago: 90m, 2h, 3d.
///
/// Examples:
///   agenttier-backup restore s1 -n team-a
///   agenttier-backup restore s1 -n team-a --start stopped -o json
///   agenttier-backup restore s1 -n team-a --as s1-monday --as-of 2026-11-20T18:00
///   agenttier-backup restore s1 -n team-a --as-of 2h
///   agenttier-backup restore s1 -n team-a --as s1-old --from s1-workspace-backup-1760000000
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Restore {
    /// The sandbox to restore
    sandbox: String,
    /// Its namespace [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The recovery point (a VolumeSnapshot) [default: the newest ready one]
    #[arg(long, value_name = "SNAPSHOT")]
    from: Option<String>,
    /// The newest ready recovery point whose data is not younger than this
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    as_of: Option<Moment>,
    /// Take a recovery point of another sandbox's volume, under the spec of SANDBOX
    #[arg(long, requires = "from")]
    from_other: bool,
    /// Name of the new sandbox [default: <SANDBOX>-restored]
    #[arg(long = "as", value_name = "NAME")]
    target: Option<String>,
    /// Whether the new sandbox is to run
    #[arg(long, value_enum, default_value = "running", value_name = "STATE")]
    start: StartArg,
    /// Give up after so many seconds; the same command goes on later
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
        // A name that cannot be is said before anybody is asked.
        let target = self.target.unwrap_or_else(|| format!("{}-restored", self.sandbox)).parse()?;
        let as_of = self.as_of.map(as_of).transpose()?;
        let client = cluster.client().await?;
        let order = Order {
            namespace: self.namespace.unwrap_or_else(|| client.default_namespace().to_owned()),
            sandbox: self.sandbox,
            from: self.from,
            from_other: self.from_other,
            as_of,
            target,
            start: match self.start {
                StartArg::Running => Start::Running,
                StartArg::Stopped => Start::Stopped,
            },
            program: cluster.program(),
        };
        let screen = Screen::start(self.output.output == Format::Table);
        let limit = Duration::from_secs(self.timeout);
        let result = restore(&client, order, limit, |progress| show(&screen, &progress)).await;
        screen.finish();
        self.output.print(&result?, print)
    }
}

/// A moment that is still to come is a slip of the pen: it would give the newest point, in silence.
fn as_of(moment: Moment) -> anyhow::Result<Timestamp> {
    let now = Timestamp::now();
    let as_of = moment.seen_from(now);
    anyhow::ensure!(as_of <= now, "--as-of {as_of} is still to come; it is {now:.0} now");
    Ok(as_of)
}

fn print(restored: &Restored) {
    println!(
        "sandbox {}/{} is {} on volume {} ({:.1} s)",
        restored.namespace, restored.sandbox, restored.phase, restored.claim, restored.seconds
    );
    if !restored.filled {
        println!(
            "the volume binds on first use: it is filled from recovery point {0} when the sandbox is resumed; do not \
             delete {0} before",
            restored.recovery_point
        );
    }
}

fn show(screen: &Screen, progress: &Progress<'_>) {
    match progress {
        Progress::Prepared(restore) => {
            let (order, origin) = (&restore.order, &restore.origin);
            let target = format!("{}/{}", order.namespace, order.target);
            screen.say(&format!("{target} from {}, data of {}", origin.point, origin.taken_at));
        }
        Progress::Step(next) => step(screen, next),
        Progress::Waiting(object) => screen.say(&format!("    {object}")),
        Progress::Trouble(trouble) => screen.say(&format!("  {trouble}; trying again")),
    }
}

fn step(screen: &Screen, step: &Step) {
    screen.step(match step {
        Step::CreateClaim => "making the volume from the recovery point",
        Step::AwaitBound => "waiting for the volume to be bound",
        Step::CreateSandbox => "making the sandbox on it",
        Step::Park => "putting the sandbox on its volume",
        Step::Adopt => "making the sandbox the volume's owner",
        Step::Start => "starting the sandbox",
        Step::AwaitRunning => "waiting for the sandbox to run",
        Step::StopRobbed => "it came up on a warm-pool volume: stopping it to put it back",
        Step::StopUnasked => "it runs, and is to stay stopped: stopping it",
        Step::AwaitStopped => "waiting for it to stop, and for its pod to be gone",
        Step::Done | Step::Refuse(_) => return,
    });
}
