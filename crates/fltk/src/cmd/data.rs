//! `fltk data ...`: one module for each subcommand.

mod arrays;
mod fetch;
mod list;
mod show;
mod split;
mod verify;
mod write;

use fltk_data::sources::{self, Source};

use crate::{
    cli::{Cli, DataCommand},
    exit::{Exit, OrExit as _},
};

pub use fetch::fetch;

/// Runs the subcommand `command`.
///
/// # Errors
/// Any error of the subcommand.
pub fn run(cli: &Cli, command: &DataCommand) -> anyhow::Result<()> {
    match command {
        DataCommand::List { locations } => list::run(cli, locations),
        DataCommand::Fetch { names, locations } => {
            let names = names.iter().map(|name| dataset(name)).collect::<anyhow::Result<Vec<_>>>()?;
            fetch(cli, &names, locations)
        }
        DataCommand::Verify { names, locations } => verify::run(cli, names, locations),
        DataCommand::Show(args) => show::run(cli, args),
        DataCommand::Arrays { experiment, write, client, locations } => arrays::run(experiment, write, client.as_deref(), locations),
        DataCommand::Split { experiment, write, locations } => split::run(cli, experiment, write.as_deref(), locations),
    }
}

/// Returns the data set that the user calls `name`.
fn dataset(name: &str) -> anyhow::Result<&'static Source> {
    sources::find(name).or_exit(Exit::Data)
}
