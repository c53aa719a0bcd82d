//! `cargo xtask fuzz`: generated inputs for what reads messages of nodes. A few of them are in the tests; this is for many.

use std::process::ExitCode;

use clap::Args;

use crate::{checkout::Checkout, sh};

const EXAMPLES: &str = "\
Half of the inputs are messages as bytes, a quarter objects that arrive in any pieces, and a quarter calls of the federator's hub in any order. They follow from the seed.

Examples:
  cargo xtask fuzz                             # ten million inputs: a quarter of a minute
  cargo xtask fuzz --inputs 1000000 --seed 7
  cargo xtask fuzz --inputs 3251 --seed 7      # once more up to an input that panicked";

/// The options of `cargo xtask fuzz`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The number of inputs.
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    pub inputs: u64,
    /// The seed from which they are generated.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// Builds the generator, and runs it. The closing line says how many inputs there were, how many panicked, and how many there were a second.
///
/// # Errors
/// If it can't be built or started.
pub fn run(checkout: &Checkout, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = checkout.build_without_libtorch(&["--release", "--package", "fltk-network", "--example", "fuzz"])?;
    let mut command = std::process::Command::new(program);
    command.args([arguments.inputs.to_string(), arguments.seed.to_string()]);
    let status = sh::start(&mut command)?.wait()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
