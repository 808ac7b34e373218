//! How fast recovery points are made, against what the API server takes.

mod field;
mod stopwatch;
mod table;

use anyhow::{Result, ensure};
use clap::Args;
use stage::NAMESPACE;
use testbed::progress::Console;
use testbed::{Process, Testbed, client_of};

use crate::program;
use field::Field;
use stopwatch::Stopwatch;
use table::{Pair, Table};

/// How fast the controller makes recovery points, against plain writers of the very same objects.
///
/// On etcd and an API server alone: no snapshot controller and no CSI driver react to what is written, so that what
/// is measured is the product and not the storage. The controller finds all volumes due at once, with every cap and
/// pace lifted. Then its snapshots are deleted, and plain writers make the same ones again, with the same rights and
/// as many at once: that is what this API server takes on this machine at that time. Pairs are made in turn, since
/// machines have moods.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Bench {
    /// Volumes that are due
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u16).range(2..10_000))]
    volumes: u16,
    /// How often both are measured
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// Calls under way at once, of either
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    calls_at_once: u16,
}

const EXAMPLES: &str = "Examples:
  cargo run --release -p stage -- bench
  cargo run --release -p stage -- bench --pairs 9 --calls-at-once 64";

impl Bench {
    pub(crate) async fn run(self) -> Result<()> {
        ensure!(
            !cfg!(debug_assertions),
            "a debug build measures itself: cargo run --release -p stage -- bench"
        );
        let program = program::build().await?;
        let testbed = Testbed::prepare(&Console::default()).await?;
        println!("starting etcd and an API server; making {} volumes", self.volumes);
        let field = Field::lay(&testbed, program, self.volumes).await?;
        let mut table = Table::default();
        for pair in 1..=self.pairs {
            let pair = self.measure(&field, pair).await?;
            println!("{pair}");
            table.add(pair);
        }
        println!("\n{}", table.render(self.volumes, self.calls_at_once));
        field.stage.end().await
    }

    async fn measure(&self, field: &Field, number: u16) -> Result<Pair> {
        let volumes = usize::from(self.volumes);
        let at_once = usize::from(self.calls_at_once);
        let kubeconfig = field.stage.controllers_kubeconfig().await?;

        let stopwatch = Stopwatch::start(&field.stage.client, volumes).await?;
        let at_once_text = at_once.to_string();
        let all = u16::MAX.to_string();
        let args = [
            ["--calls-at-once", &at_once_text],
            ["--snapshots-in-flight", &all],
            ["--snapshots-per-minute-at-least", &all],
        ];
        let controller = field.stage.launch_controller("controller", &kubeconfig, &args.concat()).await?;
        let product = tokio::select! {
            measured = stopwatch.stop() => measured?,
            exit = controller.wait() => anyhow::bail!("the controller ended ({}):\n{}", exit?, controller.log()?),
        };
        let memory = memory(&controller)?;
        controller.kill().await?;
        let made = field.made().await?;
        ensure!(made.len() == volumes, "{} snapshots of {volumes} volumes", made.len());
        field.clear().await?;

        let stopwatch = Stopwatch::start(&field.stage.client, volumes).await?;
        let writer = client_of(&kubeconfig).await?;
        let (plain, written) = tokio::join!(stopwatch.stop(), field::write(&writer, made, at_once));
        written?;
        let plain = plain?;
        field.clear().await?;
        Ok(Pair { number, product, plain, memory })
    }
}

/// Resident memory of a process in MiB: now, and at its highest.
fn memory(process: &Process) -> Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
    };
    let both = of("VmRSS:").zip(of("VmHWM:"));
    both.ok_or_else(|| anyhow::anyhow!("/proc does not tell the memory of {} in {NAMESPACE}", process.name()))
}
