//! `fltk runs compare RUN RUN...`.

pub(in crate::cmd) mod differences;

use fltk_records::{
    RunRef,
    compare::{AlignedStep, Comparison, Group, MeanStd, compare},
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
    output::text(&text(&comparison))
}

fn text(comparison: &Comparison) -> String {
    let mut parts = vec![runs_table(comparison), groups_table(comparison)];
    parts.extend(differences::factors(comparison));
    parts.extend(differences::tests(comparison));
    parts.push(steps_table(comparison));
    parts.extend(times_table(comparison));
    parts.join("\n\n")
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

/// Formats a mean with the half-width of its interval of 95 %.
pub(in crate::cmd) fn mean(figure: Option<MeanStd>) -> String {
    match figure {
        Some(MeanStd { mean, interval: Some([low, high]), .. }) => format!("{mean:.4} ± {:.4}", (high - low) / 2.0),
        Some(MeanStd { mean, .. }) => format!("{mean:.4}"),
        None => "-".to_owned(),
    }
}

fn groups_table(comparison: &Comparison) -> String {
    // Under strategies with models of the clients' own, their accuracy is the figure that matters.
    let has_clients = comparison.groups.iter().any(|group| group.client_accuracy.is_some());
    let mut header = vec!["", "over seeds", "runs", "seeds", "accuracy", "loss", "train s"];
    if has_clients {
        header.extend(["mean of clients", "worst tenth"]);
    }
    let is_virtual = comparison.groups.iter().any(|group| group.virtual_seconds.is_some());
    header.extend(is_virtual.then_some("virtual s"));
    let mut table = output::table(&header, &(3..header.len()).collect::<Vec<_>>());
    for (index, group) in comparison.groups.iter().enumerate() {
        let runs: Vec<_> = group.runs.iter().map(|&index| letter(index)).collect();
        let name = format!("{}/{}", group.experiment, group.task);
        let num_seeds = group.train_seconds.map_or(0, |seconds| seconds.count);
        let figures = [group.accuracy, group.loss, group.train_seconds].map(mean);
        let mut row = vec![group_name(index), name, runs.join(" "), num_seeds.to_string()];
        row.extend(figures);
        if has_clients {
            row.extend([mean(group.client_accuracy), mean(group.client_worst_decile)]);
        }
        if is_virtual {
            row.push(mean(group.virtual_seconds));
        }
        table.add_row(row);
    }
    let has_interval = comparison.groups.iter().any(|group| group.train_seconds.is_some_and(|seconds| seconds.interval.is_some()));
    let note = if has_interval { "\nThe mean over seeds that finished ± its interval of 95 %, by Student's t." } else { "" };
    format!("{table}{note}{}", replaced(&comparison.groups))
}

/// Returns the number of the group with this index, which the other tables have.
pub(in crate::cmd) fn group_name(index: usize) -> String {
    (index + 1).to_string()
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

/// Returns the accuracies of each round or epoch; the losses if no accuracy was measured.
fn steps_table(comparison: &Comparison) -> String {
    let has_accuracy = comparison.steps.iter().any(|step| step.accuracy.iter().any(Option::is_some));
    let of_step = |step: &AlignedStep| if has_accuracy { step.accuracy.clone() } else { step.loss.clone() };
    let letters: Vec<_> = (0..comparison.runs.len()).map(letter).collect();
    let name = if has_accuracy || comparison.steps.is_empty() { "accuracy after" } else { "loss after" };
    let header: Vec<&str> = std::iter::once(name).chain(letters.iter().map(String::as_str)).collect();
    let mut table = output::table(&header, &(1..header.len()).collect::<Vec<_>>());
    for step in &comparison.steps {
        let values = of_step(step);
        if values.iter().any(Option::is_some) {
            let name = format!("{} {}", step.unit.name(), step.step);
            table.add_row(std::iter::once(name).chain(values.into_iter().map(number)));
        }
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
