//! The division of a federated task's training set, and the clients of each round where a file gives them. `fltk run` and `fltk data split` share it,
//! so the printed split is the one that is trained on.

use std::{collections::BTreeMap, path::Path};

use fltk_core::{
    catalogue::Choice,
    experiment::{FederatedConfig, SimulationConfig},
    ids::ClientId,
    seed::Seed,
};
use fltk_data::{
    ClientSamples, Dataset,
    partition::{Division, UserFile, cohorts, file_of},
};
use fltk_experiment::SourceFile;
use fltk_fed::simulation::{Fleet, TraceFile};

use crate::{
    exit::{Exit, OrExit as _, failure},
    inputs,
};

/// Returns the samples of each client in the training set: none if clients have data of their own. Paths are relative to `base`.
///
/// # Errors
/// If the partition is impossible for this data set, or its file can't be read.
pub fn split(dataset: &Dataset, config: &FederatedConfig, seed: Seed, base: &Path) -> anyhow::Result<Division> {
    if config.has_own_data() {
        return Ok(vec![Vec::new(); config.clients.num() as usize].into());
    }
    divide(dataset, config.clients.num(), &config.partition, seed, base)
}

/// Returns the division of a training set that is all one client's.
#[must_use]
pub fn alone(client: ClientId, config: &FederatedConfig, dataset: &Dataset) -> Division {
    let mut parts = vec![Vec::new(); config.clients.num() as usize];
    if let Some(own) = parts.get_mut(client.0 as usize) {
        *own = (0..u32::try_from(dataset.train.len()).unwrap_or(u32::MAX)).collect();
    }
    parts.into()
}

/// Returns the samples of each client that it trains on, and those that it is tested on.
///
/// # Errors
/// The errors of [`split`]; or if clients should be tested and none of them has two samples.
pub fn train_and_test(dataset: &Dataset, config: &FederatedConfig, seed: Seed, base: &Path) -> anyhow::Result<ClientSamples> {
    let samples = ClientSamples::hold_out(split(dataset, config, seed, base)?, config.client_test_fraction, seed);
    if config.client_test_fraction.is_some() && !samples.has_tests() {
        let message = format!(
            "`client_test_fraction`: none of {} clients has two samples, one to train on and one to be tested on\nhint: use fewer clients, or leave it out",
            config.clients.num()
        );
        return Err(failure(Exit::Experiment, message));
    }
    Ok(samples)
}

/// Does the same as [`split`] for `clients` and `partition` alone.
///
/// # Errors
/// The errors of [`split`].
pub fn divide(dataset: &Dataset, clients: u32, partition: &Choice, seed: Seed, base: &Path) -> anyhow::Result<Division> {
    let source = file_of(partition).map(|path| inputs::read_named_file(&path, base)).transpose()?;
    dataset.partition_train(clients, partition, source.as_ref().map(user_file), seed).or_exit(Exit::Experiment)
}

/// Returns the clients of each round that the file of the selection gives; nothing if the selection reads no file. `parts` are the samples of each client.
///
/// # Errors
/// If the file can't be read, or doesn't fit the task.
pub fn given_cohorts(config: &FederatedConfig, parts: &Division, base: &Path) -> anyhow::Result<Vec<Vec<ClientId>>> {
    let paths = config.selection.paths();
    let Some((_, path)) = paths.first() else { return Ok(Vec::new()) };
    let source = inputs::read_named_file(path, base)?;
    cohorts(user_file(&source), config.rounds, config.clients_per_round, parts).or_exit(Exit::Experiment)
}

/// Returns the clients' devices, links and availability; `None` if time is the wall clock's. Steps are on batches of at most `batch_size`.
///
/// # Errors
/// If a file that the settings name can't be read or used.
pub fn fleet(config: &FederatedConfig, seed: Seed, batch_size: u32, base: &Path) -> anyhow::Result<Option<Fleet>> {
    config.virtual_time().map(|simulation| fleet_of(simulation, seed, batch_size, base)).transpose()
}

/// Returns the clients whose links nodes impose; `None` if they impose none.
///
/// # Errors
/// If the file that the settings name can't be read or used.
pub fn imposed_links(config: &FederatedConfig, seed: Seed, batch_size: u32, base: &Path) -> anyhow::Result<Option<Fleet>> {
    config.imposed_links().map(|simulation| fleet_of(simulation, seed, batch_size, base)).transpose()
}

fn fleet_of(simulation: &SimulationConfig, seed: Seed, batch_size: u32, base: &Path) -> anyhow::Result<Fleet> {
    let mut sources: BTreeMap<&'static str, SourceFile> = BTreeMap::new();
    for (block, choice) in simulation.choices() {
        if let Some((_, path)) = choice.paths().first() {
            sources.insert(block, inputs::read_named_file(path, base)?);
        }
    }
    let files = sources.iter().map(|(block, source)| (*block, TraceFile { name: &source.name, text: &source.text })).collect();
    Fleet::new(simulation, &files, seed, batch_size).or_exit(Exit::Experiment)
}

pub(crate) fn user_file(source: &SourceFile) -> UserFile<'_> {
    UserFile { name: &source.name, text: &source.text }
}
