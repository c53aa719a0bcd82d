//! Benchmarks that need a cluster. The others are in xtask.

mod orchestrator;

use clap::Args;
use xtask::bench::Output;

use crate::checkout::Checkout;

/// A stream of many jobs on a real Kubernetes: the rate at which they are created, compared with the most that the API server can take, and the memory
/// of fltk.
#[derive(Args)]
pub struct Arguments {
    /// The number of jobs that arrive at once.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub jobs: u32,
    /// The number of times that each program is run, in turn; the median is reported.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeats: u32,
    /// The format of standard output.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Runs the benchmark.
pub fn run(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<()> {
    orchestrator::run(checkout, arguments.jobs, arguments.repeats, arguments.output)
}
