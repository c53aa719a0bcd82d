//! `fltk runs list`.

use std::path::Path;

use fltk_records::index::{self, Filter, Sort};

use super::number;
use crate::{
    cli::{Cli, Output},
    exit::{Exit, OrExit as _},
    output,
};

/// Prints all runs below `root`, newest first.
///
/// # Errors
/// If `root` can't be listed, or standard output is closed.
pub fn run(cli: &Cli, root: &Path) -> anyhow::Result<()> {
    let listing = index::list(root, &Filter::default(), Sort::default()).or_exit(Exit::Records)?;
    for (path, problem) in &listing.skipped {
        anstream::eprintln!("warning: `{}` is skipped: {problem}", path.display());
    }
    if cli.output == Output::Json {
        return output::json(&listing.runs);
    }
    if listing.runs.is_empty() {
        anstream::eprintln!("there are no runs in `{}`", root.display());
        return Ok(());
    }
    let mut table = output::table(&["run", "task", "seed", "status", "step", "accuracy", "best", "train s"], &[2, 4, 5, 6, 7]);
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
            format!("{:.1}", run.train_seconds),
        ]);
    }
    output::text(&table.to_string())
}
