//! `fltk convert FILE...`: any file that we read, as one experiment file of ours.

use fltk_core::experiment;

use crate::{cli::ConvertArgs, inputs, output};

/// Prints the experiment in our format.
///
/// # Errors
/// If a file can't be read or is wrong.
pub fn run(args: &ConvertArgs) -> anyhow::Result<()> {
    let args = &args.experiment;
    let experiment = inputs::read_experiment(&args.files, &args.overrides, args.seed)?;
    output::data(&experiment::to_yaml(&experiment))
}
