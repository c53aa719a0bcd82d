//! `fltk parity NET`: a few training steps on given weights and batches, to compare with PyTorch.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::Context as _;
use fltk::{
    cli::{Cli, MemoryFormatArg, Output, ParityArgs},
    exit::{Exit, failure},
    output::{self, counted},
    work::Work,
};
use fltk_experiment::parse_optimizer;
use fltk_train::{
    Device, MemoryFormat,
    parity::{self, Comparison},
    state_to_safetensors,
};

use super::nets::find;

/// The maximum size of a file of tensors, in bytes: ten times the largest net's weights.
const TENSORS_SIZE_MAX: u64 = 2 << 30;

/// Prints the loss before each step.
///
/// # Errors
/// If a file can't be read or doesn't fit, the optimizer is wrong, or training diverges.
pub fn run(cli: &Cli, args: &ParityArgs) -> anyhow::Result<()> {
    fltk_train::init(1);
    let optimizer = parse_optimizer(&args.optimizer, fltk::catalogues())
        .map_err(|report| failure(Exit::Experiment, report.render(output::color_stderr())))?;
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
        device: Device::Cpu,
    };
    let work = Work::wait(format!("training {}", counted(args.steps as usize, "step")));
    let outcome = parity::run(&comparison)?;
    drop(work);
    if let Some(path) = &args.save {
        output::write_file(path, &state_to_safetensors(&outcome.state)?)?;
    }
    if cli.output == Output::Json {
        return output::json(&outcome);
    }
    let lines: Vec<String> = (1..).zip(&outcome.losses).map(|(step, loss)| format!("step {step}: loss {loss:.9}")).collect();
    output::text(&lines.join("\n"))
}

/// The content of a file of tensors.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || -> anyhow::Result<Vec<u8>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        anyhow::ensure!(metadata.is_file(), "it is not a file");
        anyhow::ensure!(metadata.len() <= TENSORS_SIZE_MAX, "it has {} bytes, more than {TENSORS_SIZE_MAX}", metadata.len());
        let mut bytes = Vec::new();
        file.take(TENSORS_SIZE_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().with_context(|| format!("can't read `{}`", path.display()))
}
