//! `fltk runs list`.

use fltk_records::{
    history::Status,
    index::{self, Filter, Sort},
    summary::Curve,
};

use super::number;
use crate::{
    cli::{Cli, ListArgs, Output, RunOrder, RunStatus},
    exit::{Exit, OrExit as _},
    inputs, locale, output, spark,
    work::Work,
};

/// The number of characters of a curve.
const CURVE_CHARS_MAX: usize = 12;

/// Prints the runs that `args` select.
///
/// # Errors
/// If the folder of runs can't be listed, or standard output is closed.
pub fn run(cli: &Cli, args: &ListArgs) -> anyhow::Result<()> {
    let root = &args.runs.runs;
    let filter = Filter { experiment: args.experiment.clone(), task: args.task.clone(), status: args.status.map(status) };
    let work = Work::wait(format!("reading the runs in `{}`", root.display()));
    let listing = index::list(root, inputs::indexes().as_deref(), &filter, sort(args.sort)).or_exit(Exit::Records)?;
    drop(work);
    for (path, problem) in &listing.skipped {
        tracing::warn!("`{}` is skipped: {problem}", path.display());
    }
    if cli.output == Output::Json {
        return output::json(&listing.runs);
    }
    if listing.runs.is_empty() {
        tracing::info!("there are no {}runs in `{}`", if filter == Filter::default() { "" } else { "such " }, root.display());
        return Ok(());
    }
    let mut table = output::table(&["run", "task", "seed", "status", "step", "accuracy", "best", "curve", "train s"], &[2, 4, 5, 6, 8]);
    let is_unicode = locale::is_unicode();
    for run in listing.runs {
        let step = match (run.step, run.num_steps) {
            (Some(step), Some(steps)) => format!("{step}/{steps}"),
            (step, _) => step.map_or_else(|| "-".to_owned(), |step| step.to_string()),
        };
        table.add_row([
            run.run,
            run.task,
            run.seed.to_string(),
            run.status.name().to_owned(),
            step,
            number(run.accuracy),
            number(run.best_accuracy),
            curve(run.curve.as_ref(), is_unicode),
            format!("{:.1}", run.train_seconds),
        ]);
    }
    output::text(&table.to_string())
}

/// Returns a run's curve, scaled to its own range.
fn curve(curve: Option<&Curve>, is_unicode: bool) -> String {
    let values: Vec<f64> = curve.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value).collect();
    spark::line(&values, CURVE_CHARS_MAX, is_unicode)
}

fn status(status: RunStatus) -> Status {
    match status {
        RunStatus::Running => Status::Running,
        RunStatus::Finished => Status::Finished,
        RunStatus::Failed => Status::Failed,
        RunStatus::Interrupted => Status::Interrupted,
    }
}

fn sort(order: RunOrder) -> Sort {
    match order {
        RunOrder::Newest => Sort::Newest,
        RunOrder::Name => Sort::Name,
        RunOrder::Accuracy => Sort::Accuracy,
        RunOrder::TrainSeconds => Sort::TrainSeconds,
    }
}
