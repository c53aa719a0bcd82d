//! `fltk data split FILE`: the samples of the training set that each client of each federated task gets, for each seed.

use std::{collections::BTreeMap, path::Path};

use fltk_core::{
    experiment::{Setting, Training},
    seed::Seed,
};
use fltk_data::ClientSamples;
use serde::Serialize;

use super::write::write;
use crate::{
    cli::{Cli, ExperimentArgs, LocationArgs, Output},
    exit::{Exit, OrExit as _, failure},
    inputs,
    output::{self, counted},
    split::{split, train_and_test},
    work::Work,
};

#[derive(Serialize)]
struct TaskSplit {
    task: String,
    seed: Seed,
    /// The SHA-256 digest of the training set's labels; `fltk_data::labels_digest` describes its input.
    labels_digest: String,
    /// The indices of each client's samples, ascending.
    clients: BTreeMap<u32, Vec<u32>>,
    /// Those among them that each client is tested on and doesn't train on; left out if clients have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<BTreeMap<u32, Vec<u32>>>,
}

/// Prints the splits, or writes the only one as data sets into a folder.
///
/// # Errors
/// If the experiment is wrong, its data is missing, or a partition is impossible.
pub fn run(cli: &Cli, args: &ExperimentArgs, write_to: Option<&Path>, locations: &LocationArgs) -> anyhow::Result<()> {
    let experiment = inputs::check_experiment(&args.files, &args.overrides, args.seed)?.told();
    let (base, locations) = (inputs::base_folder(&args.files), inputs::locations(locations));
    let mut splits = Vec::new();
    let work = Work::wait("reading and dividing the data");
    if write_to.is_some() && (experiment.tasks.len(), experiment.seeds.len()) != (1, 1) {
        let message = format!(
            "`--write` is for one task with one seed, and here are {} and {}\nhint: `--seed` chooses a seed; use a file for each task",
            counted(experiment.tasks.len(), "task"),
            counted(experiment.seeds.len(), "seed")
        );
        return Err(failure(Exit::Experiment, message));
    }
    for task in &experiment.tasks {
        let Some(Training { dataset: of_dataset, setting: Setting::Federated(federated), .. }) = task.training() else {
            if write_to.is_some() {
                return Err(failure(Exit::Experiment, "the task isn't federated: it has no clients whose samples could be written"));
            }
            continue;
        };
        if federated.has_own_data() {
            let message = format!(
                "task `{}`: the clients have data of their own (`data: here`), so there is nothing to divide\nhint: write the number of clients, and a partition",
                task.name
            );
            return Err(failure(Exit::Experiment, message));
        }
        let dataset = fltk_data::load(of_dataset, &base, &locations).or_exit(Exit::Data)?;
        if dataset.is_too_large_to_make() {
            let message = format!(
                "task `{}`: {} samples are too many to print\nhint: with `natural_id`, a client has the samples of one of the data set's clients",
                task.name,
                dataset.train.len()
            );
            return Err(failure(Exit::Experiment, message));
        }
        for &seed in &experiment.seeds {
            if let Some(folder) = write_to {
                let parts = split(&dataset, federated, seed, &base)?;
                drop(work);
                return write(folder, of_dataset.name(), &dataset, &parts);
            }
            let ClientSamples { test, .. } = train_and_test(&dataset, federated, seed, &base)?;
            let test = federated.client_test_fraction.map(|_| (0..).zip(test.into_lists()).collect());
            let clients = (0..).zip(split(&dataset, federated, seed, &base)?.into_lists()).collect();
            splits.push(TaskSplit { task: task.name.to_string(), seed, labels_digest: dataset.labels_digest(), clients, test });
        }
    }
    drop(work);
    if cli.output == Output::Json {
        return output::json(&splits);
    }
    let has_tests = splits.iter().any(|split| split.test.is_some());
    let header =
        if has_tests { &["task", "seed", "client", "samples", "of them for testing"][..] } else { &["task", "seed", "client", "samples"] };
    let mut table = output::table(header, &[1, 2, 3, 4][..header.len() - 1]);
    for split in &splits {
        for (client, samples) in &split.clients {
            let mut row = vec![split.task.clone(), split.seed.0.to_string(), client.to_string(), samples.len().to_string()];
            if has_tests {
                let num_test = split.test.as_ref().and_then(|test| test.get(client)).map_or(0, Vec::len);
                row.push(num_test.to_string());
            }
            table.add_row(row);
        }
    }
    output::text(&table.to_string())
}
