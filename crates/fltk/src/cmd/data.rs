//! `fltk data ...`: one module for each subcommand.

mod fetch;
mod list;
mod show;
mod split;
mod verify;

use anyhow::Context as _;
use fltk_core::experiment::DatasetName;
use fltk_data::sources;

use crate::{
    cli::{Cli, DataCommand},
    exit::{Exit, failure},
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
        DataCommand::Split { experiment, locations } => split::run(cli, experiment, locations),
    }
}

/// Returns the data set that the user calls `name`.
fn dataset(name: &str) -> anyhow::Result<DatasetName> {
    sources::by_name(name)
        .with_context(|| {
            let known: Vec<_> = sources::ALL.into_iter().map(|known| sources::source(known).name).collect();
            format!("there is no data set `{name}`\nhint: the names are {}", known.join(", "))
        })
        .map_err(|error| failure(Exit::Data, format!("{error:#}")))
}
