//! How long Layer 2 takes in a pass.

mod fleet;

use std::time::{Duration, Instant};

use agenttier_backup::schedules::{Fitting, Standing};
use anyhow::{Result, ensure};
use clap::Args;

use fleet::Fleet;

/// How long Layer 2 takes in a pass over many namespaces, in memory alone.
///
/// Everything is as it is to be, as in a quiet fleet: each namespace has its Schedule and a complete backup. In turn, and so in
/// pairs, a pass is made that knows nothing yet, as after a start, and the one after it. The first renders every Schedule and
/// compares it with the one that is there; this is what each pass would take that knows nothing of the one before.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct BenchSchedules {
    /// Namespaces with a Schedule
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    namespaces: u32,
    /// How often both are measured
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
}

const EXAMPLES: &str = "Examples:
  cargo run --release -p stage -- bench-schedules
  cargo run --release -p stage -- bench-schedules --namespaces 1000 --pairs 9";

impl BenchSchedules {
    pub(crate) fn run(self) -> Result<()> {
        ensure!(
            !cfg!(debug_assertions),
            "a debug build measures itself: cargo run --release -p stage -- bench-schedules"
        );
        println!("making {} namespaces", self.namespaces);
        let fleet = Fleet::of(self.namespaces)?;
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["PAIR", "FIRST PASS", "NEXT PASS", "RATIO"]);
        let mut pairs = Vec::new();
        for pair in 1..=self.pairs {
            let mut fitting = Fitting::default();
            let first = timed(&fleet, &mut fitting)?;
            let next = timed(&fleet, &mut fitting)?;
            table.add_row(row(&pair.to_string(), first, next));
            pairs.push((first, next));
        }
        let median = |of: fn(&(Duration, Duration)) -> Duration| {
            let mut times: Vec<Duration> = pairs.iter().map(of).collect();
            times.sort();
            times[times.len() / 2]
        };
        table.add_row(row("median", median(|pair| pair.0), median(|pair| pair.1)));
        println!(
            "{} namespaces with a Schedule and a complete backup each; one core\n{table}",
            self.namespaces
        );
        Ok(())
    }
}

fn row(name: &str, first: Duration, next: Duration) -> [String; 4] {
    let ratio = 100.0 * next.as_secs_f64() / first.as_secs_f64();
    let time = |time: Duration| format!("{:.0} ms", 1000.0 * time.as_secs_f64());
    [name.to_owned(), time(first), time(next), format!("{ratio:.0} %")]
}

/// How long one pass takes, which finds nothing to do.
fn timed(fleet: &Fleet, fitting: &mut Fitting) -> Result<Duration> {
    let begun = Instant::now();
    let standing = fleet.standing(fitting);
    let took = begun.elapsed();
    check(fleet, &standing)?;
    Ok(took)
}

fn check(fleet: &Fleet, standing: &Standing) -> Result<()> {
    let (orders, courses) = (&standing.orders.orders, &standing.courses);
    ensure!(orders.is_empty(), "{} orders where all is as it is to be", orders.len());
    let saved = courses.values().filter(|course| course.last_success.is_some()).count();
    ensure!(saved == fleet.len(), "{saved} of {} namespaces have a complete backup", fleet.len());
    Ok(())
}
