//! `fltk node`: trains clients for a federator.

use std::{env, num::NonZeroUsize, path::Path, thread::available_parallelism};

use fltk::{
    child::{self, LAUNCHER},
    cli::{Cli, LocationArgs, NodeArgs},
    exit::{Exit, OrExit as _, failure},
    inputs, stop,
    termination::Termination,
};
use fltk_core::experiment::Duration;
use fltk_train::Device;

use crate::run::{self, Context, Failures, NodeOptions};

/// Takes part until the run is over.
///
/// # Errors
/// If the federator can't be reached or refuses the node, data is missing, or the process was asked to stop.
pub fn run(_cli: &Cli, args: &NodeArgs, termination: &Termination) -> anyhow::Result<()> {
    if let Ok(launcher) = env::var(LAUNCHER) {
        child::end_with(&launcher)?;
    }
    let address = args.join.parse().or_exit(Exit::CommandLine)?;
    let patience: Duration = args.wait.parse().map_err(|error| failure(Exit::CommandLine, format!("`--wait`: {error}")))?;
    let name = args.name.clone().unwrap_or_else(fltk::host::process);
    let context = Context {
        base: Path::new(""),
        locations: &inputs::locations(&LocationArgs { data: args.data.clone() }),
        workers: args.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        device: Device::Cpu,
        stop: stop::on_signal()?,
        failures: Failures::default(),
        trust_module: true,
        termination,
    };
    let text = run::node(&context, NodeOptions { address, name, patience: std::time::Duration::from_millis(patience.as_millis()) })?;
    tracing::info!("{text}");
    Ok(())
}
