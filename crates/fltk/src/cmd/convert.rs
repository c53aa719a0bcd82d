//! `fltk convert FILE...`: converts any supported files into one experiment file in our format.

use crate::{cli::ConvertArgs, inputs, output};

/// Prints the experiment in our format.
///
/// # Errors
/// If a file can't be read or is wrong.
pub fn run(args: &ConvertArgs) -> anyhow::Result<()> {
    let args = &args.experiment;
    let experiment = inputs::read_experiment(&args.files, &args.overrides, args.seed)?;
    output::data(&fltk_experiment::to_yaml(&experiment))
}
