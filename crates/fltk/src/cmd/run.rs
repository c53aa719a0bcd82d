//! `fltk run FILE`: every task of an experiment on this machine, once per seed.

use std::{num::NonZeroUsize, thread::available_parallelism};

use serde::Serialize;

use crate::{
    cli::{Cli, LocationArgs, Output, RunArgs},
    inputs, output,
    run::{self, Context, RunResult, Talk, Termination},
};

/// Runs the experiment, or goes on with a run.
///
/// # Errors
/// If the experiment is wrong, data is missing, or a run fails.
pub fn run(cli: &Cli, args: &RunArgs) -> anyhow::Result<()> {
    let context = Context {
        base: &inputs::base_folder(&args.files),
        locations: &inputs::locations(&LocationArgs { data: args.data.clone() })?,
        workers: args.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        talk: Talk::of(cli),
        stop: run::on_signal()?,
        termination: &Termination::default(),
    };
    let mut results = Vec::new();
    let mut done = |result: RunResult| {
        if cli.output == Output::Text {
            output::text(&format!("\n{}", result.to_table()))?;
        }
        results.push(result);
        Ok(())
    };
    let outcome = if let Some(resumed) = &args.resume {
        run::resume(&context, resumed, &args.runs, &mut done)
    } else {
        let experiment = inputs::read_experiment(&args.files, &args.overrides, args.seed)?;
        run::start(&context, experiment, &args.runs, &mut done)
    };
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
