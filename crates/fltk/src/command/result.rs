//! The results of commands that `fltk run` prints: one object per run, made from its records alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use fltk_records::{
    RunFolder,
    history::{End, Unit},
};
use serde::Serialize;

use crate::{
    cli::{Cli, Output},
    exit::{Exit, OrExit as _, failure},
    output,
};

/// The number of figures that a table has columns for; JSON has all.
const COLUMNS_MAX: usize = 8;

/// The outcome of one run.
#[derive(Debug, Serialize)]
pub struct CommandResult {
    /// The run's folder.
    run: PathBuf,
    /// The experiment's name.
    experiment: String,
    /// The task's name.
    task: String,
    /// `command`.
    kind: String,
    /// The root seed.
    seed: u64,
    /// The unit of the steps; absent if no figures were reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    /// The steps with figures, ascending.
    steps: Vec<Step>,
    /// The last `accuracy` that was reported.
    accuracy: Option<f64>,
    /// The last `loss` that was reported.
    loss: Option<f64>,
    /// Wall clock of the run since it last started, in seconds.
    seconds: f64,
}

/// The figures of a step.
#[derive(Debug, Serialize)]
struct Step {
    step: u32,
    figures: BTreeMap<String, f64>,
}

impl CommandResult {
    /// Reads the result of the finished run in `folder`.
    ///
    /// # Errors
    /// If its records can't be read, or it hasn't finished.
    pub fn read(folder: RunFolder) -> anyhow::Result<Self> {
        let run = folder.read().or_exit(Exit::Records)?;
        let Some(End::Finished { seconds, .. }) = run.history.end() else {
            return Err(failure(Exit::Records, format!("`{}` has not finished", run.folder.path().display())));
        };
        let description = run.folder.description();
        let last = |figure: fn(&fltk_records::history::Row) -> Option<f64>| run.history.rows().rev().find_map(figure);
        Ok(Self {
            experiment: description.experiment.to_string(),
            task: description.task.to_string(),
            kind: description.hyperparameters.text("kind").to_owned(),
            seed: description.seed.0,
            unit: run.history.unit(),
            steps: run.history.rows().map(|row| Step { step: row.step, figures: row.figures.clone() }).collect(),
            accuracy: last(fltk_records::history::Row::accuracy),
            loss: last(fltk_records::history::Row::loss),
            seconds: *seconds,
            run: run.folder.path().to_owned(),
        })
    }

    /// The table for people to read.
    fn to_table(&self) -> String {
        let names: BTreeSet<&str> = self.steps.iter().flat_map(|step| step.figures.keys()).map(String::as_str).collect();
        let names: Vec<&str> = names.into_iter().take(COLUMNS_MAX).collect();
        let header: Vec<&str> = std::iter::once(self.unit.map_or("step", Unit::name)).chain(names.iter().copied()).collect();
        let mut table = output::table(&header, &(0..header.len()).collect::<Vec<_>>());
        for step in &self.steps {
            let figure = |name: &&str| step.figures.get(*name).map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            table.add_row(std::iter::once(step.step.to_string()).chain(names.iter().map(figure)));
        }
        let figures = if self.steps.is_empty() { "no figures were reported".to_owned() } else { table.to_string() };
        format!(
            "{}, seed {}\n{figures}\n\ntime   {:.1} s since the start\nrun    {}\n",
            self.task,
            self.seed,
            self.seconds,
            self.run.display()
        )
    }
}

/// Prints a result that has just come, if people read the output.
///
/// # Errors
/// If standard output is closed.
pub fn print_one(cli: &Cli, result: &CommandResult) -> anyhow::Result<()> {
    if cli.output == Output::Text { output::text(&format!("\n{}", result.to_table())) } else { Ok(()) }
}

/// Prints all results for programs: a single run as its object, and several as an object that lists them.
///
/// # Errors
/// If standard output is closed.
pub fn print_all(cli: &Cli, results: &[CommandResult]) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Several<'a> {
        runs: &'a [CommandResult],
    }
    match results {
        _ if cli.output == Output::Text => Ok(()),
        [result] => output::json(result),
        results => output::json(&Several { runs: results }),
    }
}
