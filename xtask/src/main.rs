//! The project's own commands: everything that a checkout needs beyond `cargo build`.

mod bench;
mod charts;
mod checkout;
mod cluster;
mod demo;
mod generate;
mod image;
mod lock;
mod page;
mod result;
mod setup;
mod sh;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::checkout::Checkout;

/// The project's own commands. Start with `cargo xtask demo`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or get libtorch, so that plain `cargo build` works.
    Setup {
        /// Also make the Python environment that tests and benchmarks compare with (about 5 GB).
        #[arg(long)]
        python: bool,
    },
    /// Set up, build, and run a federated training on real data.
    Demo,
    /// Set up and run all checks: style, tests, comparison with PyTorch, acceptance runs.
    Test {
        /// Leave out the comparison with PyTorch and the acceptance runs.
        #[arg(long)]
        fast: bool,
    },
    /// As `test`; a part that is skipped counts as failed.
    Ci,
    /// Check the rules that a compiler doesn't: who depends on whom, what may appear where.
    Tidy,
    /// Write the generated files again: schemas of experiments and of the charts' values.
    Gen {
        /// Only say whether they are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Lint, render and check the Helm charts, with Go and without a cluster.
    Charts {
        #[command(subcommand)]
        command: Option<charts::ChartsCommand>,
    },
    /// A real Kubernetes on this machine, for tests of the orchestrator: as root, with Go.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Build images: of the program, and of TensorBoard.
    Image(image::Arguments),
    /// Measure, with the peer in the same run.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    match dispatch(&Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &Command) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    match command {
        Command::Setup { python } => setup::all(&checkout, *python)?,
        Command::Demo => demo::run(&checkout)?,
        Command::Test { fast } => return test::run(&checkout, *fast, test::ci_from_environment()),
        Command::Ci => return test::run(&checkout, false, true),
        Command::Tidy => tidy::run(&checkout)?,
        Command::Gen { check } => generate::run(&checkout, *check)?,
        Command::Charts { command } => charts::run(&checkout, command.as_ref())?,
        Command::Cluster(command) => cluster::run(&checkout, command)?,
        Command::Image(arguments) => image::run(&checkout, arguments)?,
        Command::Bench(bench) => bench::run(&checkout, bench)?,
    }
    Ok(ExitCode::SUCCESS)
}
