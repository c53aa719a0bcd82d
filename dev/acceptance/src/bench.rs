//! Benchmarks: programs that measure us and the peer in one run on one machine and print ratios. They are not tests.

mod cifar10;
mod ddp;
mod engine;
mod goal;
mod journal;
mod links;
mod measured;
mod network;
mod orchestrator;
mod page;
pub mod peers;
mod python;
mod step;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::checkout::Checkout;

/// The benchmarks.
#[derive(Subcommand)]
pub enum Bench {
    /// The time of one training step of several nets: with fltk, with PyTorch, and with hand-tuned PyTorch.
    Step {
        /// The number of times that each program is run, in turn; the median is reported.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        repeats: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// The times of an epoch on two ranks and of all-reduce: with fltk, and with PyTorch using a DataLoader, using tensors in memory, and tuned by hand.
    Ddp {
        /// The number of times that each program is run, in turn; the median is reported.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        repeats: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Federated averaging: with fltk, with loops by hand in PyTorch, with Flower and with pfl-research.
    Engine {
        /// The folder with the four files of MNIST; by default the one where `fltk data fetch mnist` puts them.
        #[arg(long, value_name = "DIR")]
        mnist: Option<PathBuf>,
        /// The number of times that each program is run, in turn; the median is reported.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        repeats: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Federated averaging with nodes in Python: with a loop by hand in PyTorch, with pfl-research, and the time to the first test.
    Python {
        /// The folder with the four files of MNIST; by default the one where `fltk data fetch mnist` puts them.
        #[arg(long, value_name = "DIR")]
        mnist: Option<PathBuf>,
        /// The number of times that each program is run, in turn; the median is reported.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        repeats: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Federated averaging over node processes: with fltk, in one process, and with Flower's deployment engine; and what a federator takes beyond training.
    Network {
        /// The number of times that each program is run, in turn; the median is reported.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        repeats: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// A run whose links are simulated, and the same over nodes that impose them: two minutes that have to be as long on both clocks.
    Links {
        /// The number of rounds, of about four seconds each.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=1000))]
        rounds: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// A stream of many jobs on a real Kubernetes: the rate at which they are created, compared with the most that the API server can take, and the memory
    /// of fltk.
    Orchestrator {
        /// The number of jobs that arrive at once.
        #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
        jobs: u32,
        /// The number of times that each program is run, in turn; the median is reported.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
        repeats: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// The page of `fltk serve` in Chromium: how long many runs and a long stream take to be drawn, and the first curve, compared with TensorBoard.
    Page {
        /// The number of times that each is measured, in turn; the median is reported.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        repeats: u32,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// The accuracy that Cifar10CNN reaches on CIFAR-10 in ten epochs.
    Cifar10 {
        /// The folder that contains `cifar-10-batches-bin`.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The format of standard output.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

/// The format of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    Text,
    /// One JSON document.
    Json,
}

/// Runs a benchmark.
///
/// # Errors
/// If something can't be measured, or a goal is not met.
pub fn run(checkout: &Checkout, bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Step { repeats, output } => step::run(checkout, *repeats, *output),
        Bench::Ddp { repeats, output } => ddp::run(checkout, *repeats, *output),
        Bench::Engine { mnist, repeats, output } => engine::run(checkout, mnist.clone(), *repeats, *output),
        Bench::Python { mnist, repeats, output } => python::run(checkout, mnist.clone(), *repeats, *output),
        Bench::Network { repeats, output } => network::run(checkout, *repeats, *output),
        Bench::Links { rounds, output } => links::run(checkout, *rounds, *output),
        Bench::Orchestrator { jobs, repeats, output } => orchestrator::run(checkout, *jobs, *repeats, *output),
        Bench::Page { repeats, output } => page::run(checkout, *repeats, *output),
        Bench::Cifar10 { data, output } => cifar10::run(checkout, data, *output),
    }
}

/// Returns the median of `values`, or the mean of the middle two if their number is even; NaN if there are none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_computed() {
        for (mut values, expected) in [(vec![3.0], 3.0), (vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 3.0], 2.5)] {
            assert_eq!(median(&mut values), expected);
        }
        assert!(median(&mut []).is_nan());
    }
}
