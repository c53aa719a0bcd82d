//! Tests of whole programs: on this machine, as containers, and on a real Kubernetes. Tests of a package's own code are in that package.
//!
//! This program is also the entry to the commands of `images` and `testbed`. `cargo xtask` is the command line of all of them: it builds this program on
//! demand for a command that is here, and passes on the arguments.

mod bench;
mod beside;
mod browser;
mod parts;
mod pictures;
mod reproduce;
mod result;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
// These are imported as modules of this program, since most files use them.
use images::{charts, image};
use testbed::{cluster, page};
use xtask::{checkout, demo, outcome, setup, sh};

use crate::checkout::Checkout;

/// Images, charts, and a real Kubernetes for tests.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lint, render and check the Helm charts; this needs Go, but no cluster.
    Charts {
        #[command(subcommand)]
        command: Option<charts::ChartsCommand>,
    },
    /// Start, stop and use a real Kubernetes on this machine, for tests of the orchestrator; this needs root and Go.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Build images of the program and of TensorBoard.
    Image(image::Arguments),
    /// Run a benchmark, which measures the peer in the same run if there is one.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run the experiments of published tables, and write their figures beside ours into docs/reproduction.md.
    Reproduce(reproduce::Arguments),
    /// Run the experiments that the documentation shows, and take pictures of them; this needs Chromium.
    Pictures,
    /// Run one check, in the process that `cargo xtask test` starts for it.
    #[command(hide = true)]
    Part {
        /// The name of the check.
        name: String,
    },
}

#[derive(Subcommand)]
enum ClusterCommand {
    #[command(flatten)]
    Cluster(cluster::ClusterCommand),
    /// Run tests that take too long for every day, on the running cluster, with the image that `load` imported and the release build of `fltk`.
    Test {
        /// Test jobs that lose ranks: each of the three ranks is deleted, killed and drained, once and three times, in both kinds of jobs. Prints a table
        /// (about 20 minutes).
        #[arg(long, required = true)]
        losses: bool,
    },
}

fn main() -> ExitCode {
    match dispatch(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &Command) -> anyhow::Result<()> {
    let checkout = Checkout::find()?;
    match command {
        Command::Charts { command } => charts::run(&checkout, parts::helms(&checkout)?, command.as_ref()),
        Command::Cluster(ClusterCommand::Cluster(command)) => cluster::run(&checkout, command),
        Command::Cluster(ClusterCommand::Test { losses: _ }) => parts::test_losses(&checkout),
        Command::Image(arguments) => image::run(&checkout, arguments),
        Command::Bench(bench) => bench::run(&checkout, bench),
        Command::Reproduce(arguments) => reproduce::run(&checkout, arguments),
        Command::Pictures => pictures::run(&checkout),
        Command::Part { name } => parts::run(&checkout, name)?.tell(),
    }
}
