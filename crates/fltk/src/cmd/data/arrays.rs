//! `fltk data arrays FILE --write DIR`: the samples of a federated task, and their division over clients, as NumPy arrays.

use std::{fs, path::Path};

use anyhow::Context as _;
use fltk_core::experiment::Setting;
use fltk_data::arrays;

use crate::{
    cli::{ExperimentArgs, LocationArgs},
    exit::{Exit, OrExit as _, failure},
    inputs,
    output::counted,
    split::{alone, train_and_test},
    work::Work,
};

/// Writes the arrays of the only task into a new folder; if clients have data of their own, those of `client` alone, whose data set is in the folder of `locations`.
///
/// # Errors
/// If the experiment is wrong or has several tasks or seeds, there is no such client, its data is missing, the partition is impossible, or the folder is there or can't be written.
pub fn run(args: &ExperimentArgs, folder: &Path, client: Option<&str>, locations: &LocationArgs) -> anyhow::Result<()> {
    let experiment = inputs::check_experiment(&args.files, &args.overrides, args.seed)?.told();
    let base = inputs::base_folder(&args.files);
    let ([task], [seed]) = (&experiment.tasks[..], &experiment.seeds[..]) else {
        let message = format!(
            "arrays are those of one task with one seed, and here are {} and {}\nhint: `--seed` chooses a seed; use a file for each task",
            counted(experiment.tasks.len(), "task"),
            counted(experiment.seeds.len(), "seed")
        );
        return Err(failure(Exit::Experiment, message));
    };
    let training = task.training();
    let Some((training, Setting::Federated(config))) = training.map(|training| (training, &training.setting)) else {
        return Err(failure(Exit::Experiment, "the task isn't federated: it has no clients whose samples could be written"));
    };
    let own = client.map(|name| config.clients.by_name(name).ok_or_else(|| no_client(name))).transpose()?;
    if own.is_none() && config.has_own_data() {
        let message = "the clients have data of their own (`data: here`)\nhint: `--client NAME --data DIR` says whose it is, and where";
        return Err(failure(Exit::Experiment, message));
    }
    let mut source = training.dataset.clone();
    if let (Some(_), Some(data)) = (own, &locations.data) {
        source.path = Some(std::path::absolute(data).context("can't find the folder of the data")?.display().to_string());
    }
    let work = Work::wait("reading and writing the samples");
    let dataset = fltk_data::load(&source, &base, &inputs::locations(locations)).or_exit(Exit::Data)?;
    let parts = match own {
        Some(client) => alone(client, config, &dataset),
        None => train_and_test(&dataset, config, *seed, &base)?.train,
    };
    if folder.exists() {
        // It may be somebody's data.
        return Err(failure(Exit::General, format!("`{}` is there already\nhint: choose a new folder", folder.display())));
    }
    let written = fs::create_dir_all(folder).and_then(|()| arrays::write(folder, &dataset, &parts, *seed, client));
    written.with_context(|| format!("can't write the arrays to `{}`", folder.display()))?;
    drop(work);
    let num_clients = if own.is_some() { 1 } else { parts.num_clients() };
    tracing::info!("wrote the samples of {} to `{}`", counted(num_clients, "client"), folder.display());
    Ok(())
}

fn no_client(name: &str) -> anyhow::Error {
    failure(
        Exit::Experiment,
        format!("no client with data of its own is called `{name}`\nhint: `clients` in the experiment has their names"),
    )
}
