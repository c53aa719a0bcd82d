//! Partitions of a training set over federated clients: pure functions of (labels, clients, parameters, seed).
//!
//! KFLTK's partitioners keep its rules, with its defects fixed: sample 0 is not lost, left-over samples are assigned, and nothing depends on a global
//! generator. KFLTK takes a class's samples in file order; here they are shuffled first, because files are not always in random order (MNIST's is partly by
//! writer). All draws come from one stream, `seed.stream(Purpose::Partition, &[])`, except the order of clients that are equally far behind, which comes
//! from `seed.stream(Purpose::Partition, &[1])`.

mod by_label;
mod carry;
mod dirichlet;
mod limit_labels;
mod quantity;

use fltk_core::{
    experiment::{PartitionConfig, PartitionVersion},
    seed::{Purpose, Seed},
};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use self::carry::Carry;

/// The largest number of clients of a partition: more than any study has, and few enough that buffers of this size are small.
pub const CLIENTS_MAX: u32 = 1_000_000;

/// The reason why a training set can't be divided as requested.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PartitionError {
    /// There are no clients.
    #[error("a partition needs at least 1 client")]
    NoClients,
    /// There are more clients than is sensible.
    #[error("{clients} clients are more than a partition may have ({CLIENTS_MAX})")]
    TooManyClients {
        /// The number of clients requested.
        clients: u32,
    },
    /// There are more samples than indices can count.
    #[error("{samples} samples are more than a partition can number (2^32 - 1)")]
    TooManySamples {
        /// The number of samples.
        samples: usize,
    },
    /// A label is not that of any class.
    #[error("sample {index} has label {label}, but there are {num_classes} classes")]
    Label {
        /// The sample.
        index: usize,
        /// Its label.
        label: u16,
        /// The number of classes; labels are below it.
        num_classes: usize,
    },
    /// Some part would get too few samples.
    #[error("{samples} samples can't give {parts} parts at least {each} each\nhint: use fewer clients{also}")]
    TooFewSamples {
        /// The number of samples to divide.
        samples: usize,
        /// The number of parts to make.
        parts: u64,
        /// The number of samples that each part must have.
        each: u32,
        /// Another hint, beginning with a comma; otherwise empty.
        also: &'static str,
    },
    /// A class has fewer samples than clients that should hold it.
    #[error(
        "class {class} has {samples} samples for {holders} clients that should hold it\nhint: use fewer clients, or fewer classes a client"
    )]
    ClassTooSmall {
        /// The class.
        class: usize,
        /// The number of its samples.
        samples: usize,
        /// The number of clients that should hold it.
        holders: usize,
    },
    /// The partition needs a multiple of the number of classes as the number of clients.
    #[error("`{partition}` needs the number of clients to be a multiple of the {num_classes} classes, not {clients}\nhint: use {}", multiples(*clients, *num_classes))]
    NotMultiple {
        /// The partition's name.
        partition: &'static str,
        /// The number of clients requested.
        clients: u32,
        /// The number of classes in the data set.
        num_classes: usize,
    },
    /// The partition gives every client classes of its own, and there are too few classes.
    #[error("`limit_labels_flex` gives every client classes of its own, so it needs at most {num_classes} clients, not {clients}")]
    MoreClientsThanClasses {
        /// The number of clients requested.
        clients: u32,
        /// The number of classes in the data set.
        num_classes: usize,
    },
    /// There are not that many different classes.
    #[error("`{partition}` asks for {asked} classes a client; it must be in 1..={num_classes}")]
    ClassesPerClient {
        /// The partition's name.
        partition: &'static str,
        /// The number of classes requested.
        asked: u32,
        /// The number of classes in the data set.
        num_classes: usize,
    },
    /// A parameter is outside its range.
    #[error("`{name}` is {value}; it must be {range}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        range: &'static str,
    },
    /// No draw gave every client enough samples.
    #[error(
        "no draw out of {draws} gave each of {clients} clients {min_samples} samples\nhint: use a larger alpha, fewer clients, or a smaller min_samples (0 allows clients without samples)"
    )]
    NoLuck {
        /// The number of draws made.
        draws: u32,
        /// The number of clients requested.
        clients: u32,
        /// The number of samples that each client should have.
        min_samples: u32,
    },
    /// The data set has no natural clients.
    #[error("`natural_id` needs a data set with clients of its own, such as `shakespeare`")]
    NoNaturalClients,
    /// The number of natural ids differs from the number of samples.
    #[error("there are {ids} natural clients' ids for {samples} samples")]
    NaturalIds {
        /// The number of ids given.
        ids: usize,
        /// The number of samples.
        samples: usize,
    },
    /// There are fewer natural clients than clients requested.
    #[error("{clients} clients are asked for, but the data set has {natural} of its own\nhint: use at most {natural} clients")]
    TooFewNaturalClients {
        /// The number of clients requested.
        clients: u32,
        /// The number of natural clients.
        natural: usize,
    },
}

/// Returns the multiples of `num_classes` closest to `clients`, as a hint.
fn multiples(clients: u32, num_classes: usize) -> String {
    let below = clients as usize / num_classes * num_classes;
    let above = below + num_classes;
    if below == 0 { format!("{above} clients") } else { format!("{below} or {above} clients") }
}

/// Divides samples `0..labels.len()` over `clients`. Returns the ascending indices of each client's samples; no sample appears twice.
///
/// `labels` are below `num_classes`; `natural` holds each sample's natural client, if the data set has natural clients. The docs of
/// [`PartitionConfig`] say which partitions assign every sample.
///
/// # Errors
/// If the parameters, the number of clients and the data set don't fit each other.
pub fn partition(
    labels: &[u16],
    num_classes: usize,
    natural: Option<&[u32]>,
    clients: u32,
    config: &PartitionConfig,
    seed: Seed,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    check(labels, num_classes, clients)?;
    let rng = &mut seed.stream(Purpose::Partition, &[]);
    // Without a version in the configuration, the newest one applies.
    let carry = match config.version().flatten().unwrap_or(PartitionVersion::NEWEST) {
        PartitionVersion::One => None,
        PartitionVersion::Two => Some(Carry::new(clients as usize, &mut seed.stream(Purpose::Partition, &[1]))),
    };
    let mut parts = match *config {
        PartitionConfig::Uniform {} => quantity::uniform(labels.len(), clients, rng),
        PartitionConfig::QuantitySkew { skew } => quantity::skewed(labels.len(), clients, skew, rng),
        PartitionConfig::QSampler { q } => by_label::q_sampler(labels, num_classes, clients, q, rng),
        PartitionConfig::LimitLabels { limit, .. } => limit_labels::limit_labels(labels, num_classes, clients, limit, carry, rng),
        PartitionConfig::LimitLabelsFlex {} => limit_labels::flex(labels, num_classes, clients, rng),
        PartitionConfig::NLabels { n, .. } => limit_labels::n_labels(labels, num_classes, clients, n, carry, rng),
        PartitionConfig::Dirichlet { alpha, min_samples, .. } => {
            dirichlet::dirichlet(labels, num_classes, clients, alpha, min_samples, carry, rng)
        }
        PartitionConfig::Shard { shards_per_client } => by_label::shard(labels, num_classes, clients, shards_per_client, rng),
        PartitionConfig::Pathological { classes_per_client, .. } => {
            by_label::pathological(labels, num_classes, clients, classes_per_client, carry, rng)
        }
        PartitionConfig::NaturalId {} => by_label::natural_id(labels.len(), natural, clients, rng),
    }?;
    for part in &mut parts {
        part.sort_unstable();
    }
    Ok(parts)
}

fn check(labels: &[u16], num_classes: usize, clients: u32) -> Result<(), PartitionError> {
    if clients == 0 {
        return Err(PartitionError::NoClients);
    }
    if clients > CLIENTS_MAX {
        return Err(PartitionError::TooManyClients { clients });
    }
    if u32::try_from(labels.len()).is_err() {
        return Err(PartitionError::TooManySamples { samples: labels.len() });
    }
    match labels.iter().position(|&label| usize::from(label) >= num_classes) {
        Some(index) => Err(PartitionError::Label { index, label: labels[index], num_classes }),
        None => Ok(()),
    }
}

/// Returns the samples of each class, ascending.
fn by_class(labels: &[u16], num_classes: usize) -> Vec<Vec<u32>> {
    let mut classes = vec![Vec::new(); num_classes];
    for (index, &label) in (0..).zip(labels) {
        classes[usize::from(label)].push(index);
    }
    classes
}

/// Returns the samples of each class, shuffled.
fn by_class_shuffled(labels: &[u16], num_classes: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
    let mut classes = by_class(labels, num_classes);
    for class in &mut classes {
        class.shuffle(rng);
    }
    classes
}

/// Returns chunk `position` out of `parts` nearly equal consecutive chunks of `samples`: their lengths differ by at most 1.
fn chunk(samples: &[u32], position: usize, parts: usize) -> &[u32] {
    let cut = |position: usize| (samples.len() as u128 * position as u128 / parts as u128) as usize;
    &samples[cut(position)..cut(position + 1)]
}

/// Deals `samples` round-robin, starting with client 0.
fn deal(samples: impl IntoIterator<Item = u32>, parts: &mut [Vec<u32>]) {
    let clients = parts.len();
    for (position, sample) in samples.into_iter().enumerate() {
        parts[position % clients].push(sample);
    }
}

/// Gives each class's samples, in nearly equal chunks, to the clients that hold it; `held[client]` lists classes. With `carry`, the clients that get one
/// sample more are those furthest behind from other classes; without it, their position among the holders decides.
fn split_among_holders(classes: &[Vec<u32>], held: &[Vec<usize>], mut carry: Option<Carry>) -> Result<Vec<Vec<u32>>, PartitionError> {
    let mut holders = vec![Vec::new(); classes.len()];
    for (client, held) in held.iter().enumerate() {
        for &class in held {
            holders[class].push(client);
        }
    }
    let mut parts = vec![Vec::new(); held.len()];
    for (class, (samples, holders)) in classes.iter().zip(&holders).enumerate() {
        if samples.len() < holders.len() {
            return Err(PartitionError::ClassTooSmall { class, samples: samples.len(), holders: holders.len() });
        }
        match &mut carry {
            None => {
                for (position, &client) in holders.iter().enumerate() {
                    parts[client].extend_from_slice(chunk(samples, position, holders.len()));
                }
            }
            Some(carry) => {
                let share = 1.0 / holders.len() as f64;
                let shares: Vec<(usize, f64)> = holders.iter().map(|&client| (client, share)).collect();
                let mut rest = samples.as_slice();
                for (&client, size) in holders.iter().zip(carry.sizes(samples.len(), &shares)) {
                    let (part, others) = rest.split_at(size);
                    parts[client].extend_from_slice(part);
                    rest = others;
                }
            }
        }
    }
    Ok(parts)
}

fn check_classes_per_client(partition: &'static str, asked: u32, num_classes: usize) -> Result<(), PartitionError> {
    if asked == 0 || asked as usize > num_classes {
        return Err(PartitionError::ClassesPerClient { partition, asked, num_classes });
    }
    Ok(())
}

fn check_multiple(partition: &'static str, clients: u32, num_classes: usize) -> Result<(), PartitionError> {
    if num_classes == 0 || !(clients as usize).is_multiple_of(num_classes) {
        return Err(PartitionError::NotMultiple { partition, clients, num_classes: num_classes.max(1) });
    }
    Ok(())
}
