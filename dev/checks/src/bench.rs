//! Benchmarks that need a cluster. The others are in xtask.

mod orchestrator;

use clap::Args;
use xtask::bench::Output;

use crate::checkout::Checkout;

/// A stream of many jobs on a real Kubernetes: how fast they are made, next to what the API server takes at most, and our memory.
#[derive(Args)]
pub struct Arguments {
    /// Jobs that arrive at once.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub jobs: u32,
    /// Times that each program is run, in turn; the median is taken.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeats: u32,
    /// What standard output holds.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Runs the benchmark.
pub fn run(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<()> {
    orchestrator::run(checkout, arguments.jobs, arguments.repeats, arguments.output)
}
