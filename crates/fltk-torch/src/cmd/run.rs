//! `fltk run FILE` of an experiment without a stream, and `fltk run --resume RUN`: every task once per seed.

use std::{num::NonZeroUsize, path::Path, thread::available_parallelism};

use anyhow::Context as _;
use fltk::{
    cli::{Cli, LocationArgs, Output, RunArgs},
    inputs, output, stop,
    termination::Termination,
};
use fltk_core::experiment::{Experiment, Setting, Task};
use fltk_train::Device;
use serde::Serialize;

use super::metrics;
use crate::run::{self, Context, Failures, Listen, RunResult};

/// Runs every job of `experiment`.
///
/// # Errors
/// If data is missing, or a run fails.
pub fn run(cli: &Cli, args: &RunArgs, experiment: Experiment, termination: &Termination) -> anyhow::Result<()> {
    // It comes before anything is recorded.
    for task in experiment.tasks.iter().filter_map(Task::training) {
        if let Setting::Federated(config) = &task.setting {
            run::check_data_is_here(config, false)?;
        }
    }
    with_context(args, None, termination, |context| {
        print_each(cli, |done| run::start(context, experiment, &args.runs, args.id.as_deref(), done))
    })
}

/// Resumes the run `resumed`, and the rest of its group.
///
/// # Errors
/// If its folder is damaged or in use, data is missing, or a run fails.
pub fn resume(cli: &Cli, args: &RunArgs, resumed: &Path, termination: &Termination) -> anyhow::Result<()> {
    with_context(args, None, termination, |context| print_each(cli, |done| run::resume(context, resumed, &args.runs, done)))
}

pub(super) fn with_context(
    args: &RunArgs,
    listen: Option<Listen>,
    termination: &Termination,
    work: impl FnOnce(&Context<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (metrics, _server) = metrics::serve(args.metrics)?;
    work(&Context {
        base: &inputs::base_folder(&args.files),
        locations: &inputs::locations(&LocationArgs { data: args.data.clone() }),
        workers: args.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        device: Device::Cpu,
        stop: stop::on_signal()?,
        failures: Failures { fail_fast: args.fail_fast, retry: args.retry_failed },
        trust_module: args.trust_module,
        listen,
        metrics,
        termination,
    })
}

/// Prints each result of `work`, or all of them as one JSON document.
pub(super) fn print_each(
    cli: &Cli,
    work: impl FnOnce(&mut dyn FnMut(RunResult) -> anyhow::Result<()>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut results = Vec::new();
    let mut printed = Ok(());
    let outcome = work(&mut |result: RunResult| {
        // A result that can't be printed is in the records, so the other runs go on.
        if cli.output == Output::Text && printed.is_ok() {
            printed = output::text(&format!("\n{}", result.to_table()));
        }
        results.push(result);
        Ok(())
    });
    // The results from before a failure are printed too.
    if cli.output == Output::Json && (outcome.is_ok() || !results.is_empty()) {
        printed = print_json(&results);
    }
    outcome.and(printed.context("can't print the results"))
}

/// Prints a single run as its object, and several runs as an object that lists them.
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
