//! `fltk runs compare RUN RUN...`.

use fltk_records::{
    RunRef,
    compare::{Comparison, Group, MeanStd, compare},
};

use super::number;
use crate::{
    cli::{Cli, Output},
    output,
};

/// Prints `runs` side by side.
///
/// # Errors
/// If standard output is closed.
pub fn run(cli: &Cli, runs: &[RunRef]) -> anyhow::Result<()> {
    let comparison = compare(runs);
    if cli.output == Output::Json {
        return output::json(&comparison);
    }
    let times = times_table(&comparison).map(|table| format!("\n\n{table}")).unwrap_or_default();
    output::text(&format!("{}\n\n{}\n\n{}{times}", runs_table(&comparison), groups_table(&comparison), steps_table(&comparison)))
}

/// Returns the letter of the run with this index, which heads its column in the other tables.
fn letter(index: usize) -> String {
    u8::try_from(index).ok().filter(|index| *index < 26).map_or_else(|| format!("#{index}"), |index| char::from(b'A' + index).to_string())
}

fn runs_table(comparison: &Comparison) -> String {
    let is_virtual = comparison.runs.iter().any(|run| run.virtual_seconds.is_some());
    let mut header = vec!["", "run", "task", "seed", "status", "accuracy", "loss", "train s"];
    header.extend(is_virtual.then_some("virtual s"));
    let mut table = output::table(&header, &[3, 5, 6, 7, 8][..header.len() - 4]);
    for (index, run) in comparison.runs.iter().enumerate() {
        let mut cells = vec![
            letter(index),
            run.run.clone(),
            run.task.clone(),
            run.seed.to_string(),
            run.status.name().to_owned(),
            number(run.accuracy),
            number(run.loss),
            format!("{:.1}", run.train_seconds),
        ];
        if is_virtual {
            cells.push(virtual_seconds(run.virtual_seconds));
        }
        table.add_row(cells);
    }
    table.to_string()
}

fn mean(figure: Option<MeanStd>) -> String {
    match figure {
        Some(MeanStd { mean, std: Some(std), count }) => format!("{mean:.4} ± {std:.4} (n={count})"),
        Some(MeanStd { mean, .. }) => format!("{mean:.4}"),
        None => "-".to_owned(),
    }
}

fn groups_table(comparison: &Comparison) -> String {
    // Under strategies with models of the clients' own, their accuracy is the figure that matters.
    let has_clients = comparison.groups.iter().any(|group| group.client_accuracy.is_some());
    let mut header = vec!["over seeds", "runs", "accuracy", "loss", "train s"];
    if has_clients {
        header.extend(["mean of clients", "worst tenth"]);
    }
    let is_virtual = comparison.groups.iter().any(|group| group.virtual_seconds.is_some());
    header.extend(is_virtual.then_some("virtual s"));
    let mut table = output::table(&header, &(2..header.len()).collect::<Vec<_>>());
    for group in &comparison.groups {
        let runs: Vec<_> = group.runs.iter().map(|&index| letter(index)).collect();
        let name = format!("{}/{}", group.experiment, group.task);
        let mut row = vec![name, runs.join(" "), mean(group.accuracy), mean(group.loss), mean(group.train_seconds)];
        if has_clients {
            row.extend([mean(group.client_accuracy), mean(group.client_worst_decile)]);
        }
        if is_virtual {
            row.push(mean(group.virtual_seconds));
        }
        table.add_row(row);
    }
    format!("{table}{}", replaced(&comparison.groups))
}

fn virtual_seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.3}"))
}

/// Returns the accuracies over simulated time; `None` if no run has any.
fn times_table(comparison: &Comparison) -> Option<String> {
    if comparison.times.is_empty() {
        return None;
    }
    let letters: Vec<_> = (0..comparison.runs.len()).map(letter).collect();
    let header: Vec<&str> = std::iter::once("accuracy at virtual s").chain(letters.iter().map(String::as_str)).collect();
    let mut table = output::table(&header, &(0..header.len()).collect::<Vec<_>>());
    for time in &comparison.times {
        let name = format!("{:.3}", time.virtual_seconds);
        table.add_row(std::iter::once(name).chain(time.accuracy.iter().map(|accuracy| number(*accuracy))));
    }
    Some(table.to_string())
}

/// Returns a line for each run that doesn't count, to explain a smaller number of seeds.
fn replaced(groups: &[Group]) -> String {
    let line =
        |&index: &usize| format!("\n{} is not counted: a later run of the same seed, or one that finished, takes its place", letter(index));
    groups.iter().flat_map(|group| &group.repeated).map(line).collect()
}

fn steps_table(comparison: &Comparison) -> String {
    let letters: Vec<_> = (0..comparison.runs.len()).map(letter).collect();
    let header: Vec<&str> = std::iter::once("accuracy after").chain(letters.iter().map(String::as_str)).collect();
    let mut table = output::table(&header, &(1..header.len()).collect::<Vec<_>>());
    for step in &comparison.steps {
        let name = format!("{} {}", step.unit.name(), step.step);
        table.add_row(std::iter::once(name).chain(step.accuracy.iter().map(|accuracy| number(*accuracy))));
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_run_is_named() {
        let name = || "x".to_owned();
        let group = |runs: Vec<usize>, repeated: Vec<usize>| Group {
            experiment: name(),
            task: name(),
            runs,
            repeated,
            accuracy: None,
            loss: None,
            client_accuracy: None,
            client_worst_decile: None,
            train_seconds: None,
            virtual_seconds: None,
        };
        assert_eq!(replaced(&[group(vec![0, 1], vec![])]), "");
        let text = replaced(&[group(vec![1], vec![0]), group(vec![3], vec![2])]);
        let line = |letter| format!("\n{letter} is not counted: a later run of the same seed, or one that finished, takes its place");
        assert_eq!(text, line("A") + &line("C"));
    }
}
