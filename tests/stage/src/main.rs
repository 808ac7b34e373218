//! `cargo demo`: the product's main job, as a story that a person can follow; and its speed, as a table.

mod bench;
mod bench_schedules;
mod demo;
mod program;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The product on a real control plane, for people to watch.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Bench(bench::Bench),
    BenchSchedules(bench_schedules::BenchSchedules),
}

#[tokio::main]
async fn main() -> ExitCode {
    let told = match Cli::parse().command {
        Command::Demo(demo) => demo.run().await,
        Command::Bench(bench) => bench.run().await,
        Command::BenchSchedules(bench) => bench.run(),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not as a backtrace: it is for a person who can do something about it.
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
