//! `fltk convert FILE...`: converts any supported files into one experiment file in our format.

use crate::{
    cli::{Cli, ConvertArgs, Output},
    inputs, output,
};

/// Prints the experiment in our format.
///
/// # Errors
/// If a file can't be read or is wrong.
pub fn run(cli: &Cli, args: &ConvertArgs) -> anyhow::Result<()> {
    let args = &args.experiment;
    let experiment = inputs::read_experiment(&args.files, &args.overrides, args.seed)?;
    match cli.output {
        Output::Json => output::json(&fltk_experiment::to_json(&experiment)),
        Output::Text => output::data(&fltk_experiment::to_yaml(&experiment)),
    }
}
