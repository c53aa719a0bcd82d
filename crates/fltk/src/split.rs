//! The division of a federated task's training set. `fltk run` and `fltk data split` share it, so the printed split is the one that is trained on.

use fltk_core::{experiment::FederatedConfig, seed::Seed};
use fltk_data::Dataset;

use crate::exit::{Exit, OrExit as _};

/// Returns for each client the ascending indices of its samples in the training set.
///
/// # Errors
/// If the partition is impossible for this data set.
pub fn split(dataset: &Dataset, config: &FederatedConfig, seed: Seed) -> anyhow::Result<Vec<Vec<u32>>> {
    dataset.partition_train(config.clients, &config.partition, seed).or_exit(Exit::Experiment)
}
