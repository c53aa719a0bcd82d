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
    split::train_and_test,
    work::Work,
};

/// Writes the arrays of the only task into a new folder.
///
/// # Errors
/// If the experiment is wrong or has several tasks or seeds, its data is missing, the partition is impossible, or the folder is there or can't be written.
pub fn run(args: &ExperimentArgs, folder: &Path, locations: &LocationArgs) -> anyhow::Result<()> {
    let experiment = inputs::check_experiment(&args.files, &args.overrides, args.seed)?.told();
    let (base, locations) = (inputs::base_folder(&args.files), inputs::locations(locations));
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
    let work = Work::wait("reading and writing the samples");
    let dataset = fltk_data::load(&training.dataset, &base, &locations).or_exit(Exit::Data)?;
    let parts = train_and_test(&dataset, config, *seed, &base)?.train;
    if folder.exists() {
        // It may be somebody's data.
        return Err(failure(Exit::General, format!("`{}` is there already\nhint: choose a new folder", folder.display())));
    }
    let written = fs::create_dir_all(folder).and_then(|()| arrays::write(folder, &dataset, &parts, *seed));
    written.with_context(|| format!("can't write the arrays to `{}`", folder.display()))?;
    drop(work);
    tracing::info!("wrote the samples of {} to `{}`", counted(parts.num_clients(), "client"), folder.display());
    Ok(())
}
