//! `fltk run FILE`: runs an experiment on this machine: every task once per seed, or its stream of jobs.

mod stream;

use std::{env, num::NonZeroUsize, path::Path, thread::available_parallelism};

use fltk_records::{RunError, RunFolder, StreamFolder};

use crate::{
    child::{self, LAUNCHER},
    cli::{Cli, LocationArgs, RunArgs},
    command,
    engine::{Computation, Engine},
    exit::{Exit, OrExit as _},
    inputs, stop,
    stream::Here,
    termination::{TERMINATION_LOG, Termination},
};

/// Runs the experiment, or resumes a run or a stream. If another process of ours started this one and names a file for it, writes a report of the outcome.
///
/// # Errors
/// If the experiment is wrong, data is missing, or a run fails.
pub fn run(cli: &Cli, args: &RunArgs, engine: Engine) -> anyhow::Result<()> {
    let launcher = env::var(LAUNCHER).ok();
    if let Some(launcher) = &launcher {
        child::end_with(launcher)?;
    }
    let termination = Termination::default();
    let outcome = begin(cli, args, engine, &termination);
    if let (Some(_), Some(path)) = (launcher, env::var_os(TERMINATION_LOG).filter(|path| !path.is_empty())) {
        termination.write(Path::new(&path), &outcome);
    }
    outcome
}

fn begin(cli: &Cli, args: &RunArgs, engine: Engine, termination: &Termination) -> anyhow::Result<()> {
    if let Some(resumed) = &args.resume {
        return match StreamFolder::find(&args.runs, resumed) {
            Ok(folder) => stream::resume(cli, args, &here(args, engine)?, folder),
            Err(RunError::NotAStream { .. }) => {
                let folder = RunFolder::find(&args.runs, resumed).or_exit(Exit::Records)?;
                if command::is_of_command(&folder) {
                    return command::resume(cli, args, folder, termination);
                }
                engine.compute(cli, Computation::Resume { args, run: resumed, termination })
            }
            Err(error) => Err(error).or_exit(Exit::Records),
        };
    }
    // A pipe can't be read a second time, so the process that computes must be the one that reads it.
    if args.files.iter().any(|file| inputs::is_pipe(file)) {
        engine.go_on()?;
    }
    let experiment = inputs::check_experiment(&args.files, &args.overrides, args.seed)?;
    if experiment.has_stream() {
        return stream::start(cli, args, &here(args, engine)?, experiment.told());
    }
    if experiment.has_command() {
        return command::start(cli, args, experiment.told(), termination);
    }
    engine.compute(cli, Computation::Run { args, experiment: Box::new(experiment), termination })
}

/// Returns the settings that all jobs of a stream share on this machine.
fn here(args: &RunArgs, engine: Engine) -> anyhow::Result<Here> {
    Ok(Here {
        data: inputs::locations(&LocationArgs { data: args.data.clone() }).cache,
        workers: args.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        trust_module: args.trust_module,
        stop: stop::on_signal()?,
        engine,
    })
}
