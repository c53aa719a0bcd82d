//! The commands that need libtorch; the rest of the command line is in the library `fltk`.

mod client;
mod federate;
mod metrics;
mod nets;
pub mod node;
mod parity;
mod run;

use fltk::Computation;
use fltk::cli::Cli;

/// Runs `computation`.
///
/// # Errors
/// If the command fails.
pub fn compute(cli: &Cli, computation: Computation<'_>) -> anyhow::Result<()> {
    match computation {
        Computation::Run { args, experiment, termination } => run::run(cli, args, experiment.told(), termination),
        Computation::Resume { args, run, termination } => run::resume(cli, args, run, termination),
        Computation::Client { args, termination } => client::run(cli, args, termination),
        Computation::Federate { args, experiment, termination } => {
            federate::run(cli, args, experiment.map(|read| read.told()), termination)
        }
        Computation::Node { args, termination } => node::run(cli, args, termination),
        Computation::Nets(command) => nets::run(cli, command),
        Computation::Parity(args) => parity::run(cli, args),
    }
}
