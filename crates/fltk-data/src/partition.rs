//! Partitions of a training set over federated clients: pure functions of (labels, clients, parameters, seed). A partitioner is a file in this
//! folder, with a value that describes and runs it, and a line in the [`CATALOGUE`].
//!
//! KFLTK's partitioners keep its rules, with its defects fixed: sample 0 is not lost, left-over samples are assigned, and nothing depends on a global
//! generator. KFLTK takes a class's samples in file order; here they are shuffled first, because files are not always in random order (MNIST's is partly by
//! writer). All draws come from one stream, `seed.stream(Purpose::Partition, &[])`, except the order of clients that are equally far behind, which comes
//! from `seed.stream(Purpose::Partition, &[1])`.

mod carry;
mod catalogue;
mod classes;
mod deal;
mod dirichlet;
mod error;
mod limit_labels;
mod limit_labels_flex;
mod n_labels;
mod natural_id;
mod partitioner;
mod pathological;
mod q_sampler;
mod quantity_skew;
mod shard;
mod uniform;
mod version;

use fltk_core::{
    catalogue::{Choice, PartitionerEntry},
    seed::Seed,
};

pub use self::{
    catalogue::CATALOGUE,
    error::PartitionError,
    partitioner::{CLIENTS_MAX, Partitioner, Parts, Request},
};

/// Divides samples `0..labels.len()` over `clients`, with the partitioner of the catalogue that `config` names. Returns the ascending indices
/// of each client's samples; no sample appears twice.
///
/// `labels` are below `num_classes`; `natural` holds each sample's natural client, if the data set has natural clients. The docs of the
/// entries say which partitions assign every sample.
///
/// # Errors
/// If there is no such partitioner, or the parameters, the number of clients and the data set don't fit each other.
///
/// # Panics
/// As [`Partitioner::partition`].
pub fn partition(
    labels: &[u16],
    num_classes: usize,
    natural: Option<&[u32]>,
    clients: u32,
    config: &Choice,
    seed: Seed,
) -> Result<Parts, PartitionError> {
    let partitioner = CATALOGUE.iter().find(|partitioner| partitioner.name() == config.name());
    let partitioner = partitioner.ok_or_else(|| PartitionError::Unknown {
        kind: "partition",
        name: config.name().to_owned(),
        known: CATALOGUE.iter().map(|partitioner| partitioner.name()).collect(),
    })?;
    partitioner.partition(&Request { labels, num_classes, natural, clients, settings: config, seed })
}

/// Returns the entries of the partitioners, in the order of the catalogue.
#[must_use]
pub fn entries() -> Vec<&'static PartitionerEntry> {
    CATALOGUE.iter().map(|partitioner| &partitioner.entry).collect()
}
