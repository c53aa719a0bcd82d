//! Partitions of a training set over federated clients: pure functions of (labels, clients, parameters, seed), and of a file's text for those
//! that read one. A partitioner is a file in this
//! folder, with a value that describes and runs it, and a line in the [`CATALOGUE`].
//!
//! KFLTK's partitioners keep its rules, with its defects fixed: sample 0 is not lost, left-over samples are assigned, and nothing depends on a global
//! generator. KFLTK takes a class's samples in file order; here they are shuffled first, because files are not always in random order (MNIST's is partly by
//! writer). All draws come from one stream, `seed.stream(Purpose::Partition, &[])`, except the order of clients that are equally far behind, which comes
//! from `seed.stream(Purpose::Partition, &[1])`.

mod bounded;
mod carry;
mod catalogue;
mod classes;
mod client_dirichlet;
mod cohorts;
mod deal;
mod deal_by_shares;
mod dirichlet;
mod distribution;
mod division;
mod error;
mod file;
mod grouped_natural_id;
mod inner_dirichlet;
mod limit_labels;
mod limit_labels_flex;
mod n_labels;
pub(crate) mod natural_id;
mod partitioner;
mod pathological;
mod q_sampler;
mod quantity_skew;
mod shard;
mod sizes;
mod split_file;
mod uniform;
mod user_file;
mod version;

use fltk_core::{
    catalogue::{Choice, DatasetEntry, PartitionerEntry},
    seed::{Purpose, Seed},
};

pub use self::{
    catalogue::CATALOGUE,
    cohorts::{check_cohorts, cohorts},
    division::Division,
    error::PartitionError,
    partitioner::{CLIENTS_MAX, Partitioner, Parts, Request},
    user_file::UserFile,
};

/// Divides samples `0..labels.len()` over `clients`, with the partitioner of the catalogue that `config` names. Returns the ascending indices
/// of each client's samples; no sample appears twice.
///
/// `labels` are below `num_classes`; `natural` holds each sample's natural client, if the data set has natural clients. The docs of the
/// entries say which partitions assign every sample. `file` is the content of the file that [`file_of`] names, if there is one.
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
    file: Option<UserFile<'_>>,
    seed: Seed,
) -> Result<Parts, PartitionError> {
    let partitioner = by_name(config.name());
    let partitioner = partitioner.ok_or_else(|| PartitionError::Unknown {
        kind: "partition",
        name: config.name().to_owned(),
        known: CATALOGUE.iter().map(|partitioner| partitioner.name()).collect(),
    })?;
    partitioner.partition(&Request { labels, num_classes, natural, clients, settings: config, file, seed })
}

/// Returns the ascending indices of `num_samples` samples, or of all if there are fewer, drawn uniformly at random without replacement by
/// `Purpose::Root` from those that the clients train on.
#[must_use]
pub fn root_samples(parts: &Division, num_samples: u32, seed: Seed) -> Vec<u32> {
    let total: usize = parts.sizes().sum();
    let drawn = rand::seq::index::sample(&mut seed.stream(Purpose::Root, &[]), total, total.min(num_samples as usize));
    let mut samples: Vec<u32> = match parts {
        Division::Lists(lists) => {
            let mut all: Vec<u32> = lists.iter().flatten().copied().collect();
            all.sort_unstable();
            drawn.into_iter().map(|place| all[place]).collect()
        }
        // There may be hundreds of millions of samples: they are counted instead of listed.
        Division::Ranges(ranges) => {
            let mut ranges = ranges.clone();
            ranges.sort_unstable_by_key(|range| range.start);
            let ends: Vec<usize> = ranges
                .iter()
                .scan(0, |end, range| {
                    *end += range.len();
                    Some(*end)
                })
                .collect();
            let sample = |place: usize| {
                let client = ends.partition_point(|end| *end <= place);
                ranges[client].end - (ends[client] - place) as u32
            };
            drawn.into_iter().map(sample).collect()
        }
    };
    samples.sort_unstable();
    samples
}

/// Returns the path of the file that the partition `config` reads; `None` if it reads none.
#[must_use]
pub fn file_of(config: &Choice) -> Option<String> {
    by_name(config.name())?.entry.file.map(|path| path.of(config))
}

/// Checks the file that the partition `config` reads, as far as that is possible without the data set itself. [`partition`] checks the rest.
///
/// # Errors
/// If the file is invalid, or fits neither `clients` nor what is known of `dataset`.
pub fn check_file(config: &Choice, clients: u32, dataset: &DatasetEntry, file: UserFile<'_>) -> Result<(), PartitionError> {
    let check = catalogue::FILE_CHECKS.iter().find(|(partitioner, _)| partitioner.name() == config.name());
    check.map_or(Ok(()), |(_, check)| check(file, clients, dataset))
}

fn by_name(name: &str) -> Option<&'static Partitioner> {
    CATALOGUE.iter().copied().find(|partitioner| partitioner.name() == name)
}

/// Returns the entries of the partitioners, in the order of the catalogue.
#[must_use]
pub fn entries() -> Vec<&'static PartitionerEntry> {
    CATALOGUE.iter().map(|partitioner| &partitioner.entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_the_server_are_the_clients_training_samples() {
        let lists = vec![vec![7, 9, 50], vec![1, 3], vec![]];
        let parts = Division::from(lists.clone());
        let drawn = root_samples(&parts, 3, Seed(42));
        assert_eq!(drawn.len(), 3);
        assert!(drawn.is_sorted_by(|one, other| one < other) && drawn.iter().all(|sample| lists.concat().contains(sample)), "{drawn:?}");
        assert_eq!(drawn, root_samples(&vec![vec![50, 1], vec![3, 7, 9]].into(), 3, Seed(42)), "whoever has them");
        assert_eq!(root_samples(&parts, 99, Seed(42)), [1, 3, 7, 9, 50]);
        // Ranges give the samples that lists of the same indices give.
        let ranges = Division::Ranges(vec![3..3, 10..15, 0..3, 20..29]);
        let listed = Division::from(ranges.clone().into_lists());
        for num_samples in [1, 5, 16, 17, 99] {
            assert_eq!(root_samples(&ranges, num_samples, Seed(42)), root_samples(&listed, num_samples, Seed(42)));
        }
        let different = (0..20).map(|seed| root_samples(&parts, 3, Seed(seed))).collect::<std::collections::BTreeSet<_>>();
        assert!(different.len() > 4, "{different:?}");
    }
}
