//! `fltk strategies`: the federated strategies, and their arithmetic on updates that a file gives.

mod answer;
mod apply;
mod case;
mod list;
mod rounds;
mod sample;
mod show;
mod tensors;

use crate::cli::{Cli, StrategiesCommand};

/// Runs a command of `strategies`.
///
/// # Errors
/// Those of the command.
pub fn run(cli: &Cli, command: &StrategiesCommand) -> anyhow::Result<()> {
    match command {
        StrategiesCommand::List => list::run(cli),
        StrategiesCommand::Show { name } => show::run(cli, name),
        StrategiesCommand::Apply(args) => apply::run(cli, args),
    }
}
