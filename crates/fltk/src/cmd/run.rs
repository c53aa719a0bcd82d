//! `fltk run FILE`: an experiment on this machine: every task once per seed, or its stream of jobs.

mod stream;

use std::{env, num::NonZeroUsize, path::Path, thread::available_parallelism};

use fltk_records::{RunError, StreamFolder};
use serde::Serialize;

use crate::{
    cli::{Cli, LocationArgs, Output, RunArgs},
    exit::{Exit, OrExit as _},
    inputs, output,
    run::{self, Context, RunResult, Talk, Termination},
    stop,
};

/// Runs the experiment, or goes on with a run or a stream. Reports how that ended where another process of ours started it and names a file for it.
///
/// # Errors
/// If the experiment is wrong, data is missing, or a run fails.
pub fn run(cli: &Cli, args: &RunArgs) -> anyhow::Result<()> {
    let launcher = env::var(run::LAUNCHER).ok();
    if let Some(launcher) = &launcher {
        run::end_with(launcher)?;
    }
    let termination = Termination::default();
    let outcome = begin(cli, args, &termination);
    if let (Some(_), Some(path)) = (launcher, env::var_os(run::TERMINATION_LOG).filter(|path| !path.is_empty())) {
        termination.write(Path::new(&path), &outcome);
    }
    outcome
}

fn begin(cli: &Cli, args: &RunArgs, termination: &Termination) -> anyhow::Result<()> {
    let context = Context {
        base: &inputs::base_folder(&args.files),
        locations: &inputs::locations(&LocationArgs { data: args.data.clone() })?,
        workers: args.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        talk: Talk::of(cli),
        stop: stop::on_signal()?,
        termination,
    };
    if let Some(resumed) = &args.resume {
        return match StreamFolder::find(&args.runs, resumed) {
            Ok(folder) => stream::resume(cli, &context, folder),
            Err(RunError::NotAStream { .. }) => print_each(cli, |done| run::resume(&context, resumed, &args.runs, done)),
            Err(error) => Err(error).or_exit(Exit::Records),
        };
    }
    let experiment = inputs::read_experiment(&args.files, &args.overrides, args.seed)?;
    if experiment.stream.is_some() {
        return stream::start(cli, args, &context, experiment);
    }
    print_each(cli, |done| run::start(&context, experiment, &args.runs, args.id.as_deref(), done))
}

/// Prints each result that `work` comes to, or all of them as one document.
fn print_each(cli: &Cli, work: impl FnOnce(&mut dyn FnMut(RunResult) -> anyhow::Result<()>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut results = Vec::new();
    let outcome = work(&mut |result: RunResult| {
        if cli.output == Output::Text {
            output::text(&format!("\n{}", result.to_table()))?;
        }
        results.push(result);
        Ok(())
    });
    // What finished before a failure is not lost.
    if cli.output == Output::Json && (outcome.is_ok() || !results.is_empty()) {
        print_json(&results)?;
    }
    outcome
}

/// One run: its object. Several: an object that lists them.
fn print_json(results: &[RunResult]) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Several<'a> {
        runs: &'a [RunResult],
    }
    match results {
        [result] => output::json(result),
        results => output::json(&Several { runs: results }),
    }
}
