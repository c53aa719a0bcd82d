//! `fltk parity NET`: a few training steps on given weights and batches, to compare with PyTorch.

use std::path::Path;

use anyhow::Context as _;
use fltk_core::experiment::OptimizerConfig;
use fltk_train::{
    MemoryFormat,
    parity::{self, Comparison},
    state_to_safetensors,
};

use super::nets::find;
use crate::{
    cli::{Cli, MemoryFormatArg, Output, ParityArgs},
    output,
};

/// Prints the loss before each step.
///
/// # Errors
/// If a file can't be read or doesn't fit, the optimizer is wrong, or training diverges.
pub fn run(cli: &Cli, args: &ParityArgs) -> anyhow::Result<()> {
    fltk_train::init(1);
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("can't read `{}`", path.display()));
    let optimizer: OptimizerConfig = serde_saphyr::from_str(&args.optimizer).with_context(|| {
        let example = r#"{"type":"SGD","learning_rate":0.05,"momentum":0.9}"#;
        format!("`{}` is not an optimizer\nhint: for example `{example}`", args.optimizer)
    })?;
    let (weights, batch) = (read(&args.weights)?, read(&args.batch)?);
    let comparison = Comparison {
        net: find(&args.net)?,
        weights: &weights,
        batch: &batch,
        steps: args.steps,
        optimizer: &optimizer,
        memory_format: match args.memory_format {
            MemoryFormatArg::Contiguous => MemoryFormat::Contiguous,
            MemoryFormatArg::ChannelsLast => MemoryFormat::ChannelsLast,
        },
    };
    let outcome = parity::run(&comparison)?;
    if let Some(path) = &args.save {
        output::write_file(path, &state_to_safetensors(&outcome.state)?)?;
    }
    if cli.output == Output::Json {
        return output::json(&outcome);
    }
    let lines: Vec<String> = (1..).zip(&outcome.losses).map(|(step, loss)| format!("step {step}: loss {loss:.9}")).collect();
    output::text(&lines.join("\n"))
}
