//! Dividing a training set over federated clients: pure functions of (labels, clients, parameters, seed).
//!
//! KFLTK's partitioners keep its rules, with its faults mended: sample 0 is not lost, left-over samples reach someone, and nothing
//! depends on a global generator. Where KFLTK takes a class's samples in file order, they are shuffled first here, because files are not always
//! in random order (MNIST's is partly by writer). All draws come from one stream, `seed.stream(Purpose::Partition, &[])`, but the order of clients that are
//! equally far behind, which is `seed.stream(Purpose::Partition, &[1])`'s.

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

/// Most clients of a partition: more than any study has, and few enough that buffers of their size are small.
pub const CLIENTS_MAX: u32 = 1_000_000;

/// Why a training set can't be divided as asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PartitionError {
    /// Nobody to divide over.
    #[error("a partition needs at least 1 client")]
    NoClients,
    /// More clients than are sensible.
    #[error("{clients} clients are more than a partition may have ({CLIENTS_MAX})")]
    TooManyClients {
        /// Clients asked for.
        clients: u32,
    },
    /// More samples than indices can count.
    #[error("{samples} samples are more than a partition can number (2^32 - 1)")]
    TooManySamples {
        /// Samples.
        samples: usize,
    },
    /// A label that no class has.
    #[error("sample {index} has label {label}, but there are {num_classes} classes")]
    Label {
        /// The sample.
        index: usize,
        /// Its label.
        label: u16,
        /// Labels are below this.
        num_classes: usize,
    },
    /// Someone would go without.
    #[error("{samples} samples can't give {parts} parts at least {each} each\nhint: use fewer clients{also}")]
    TooFewSamples {
        /// Samples to divide.
        samples: usize,
        /// Parts to make.
        parts: u64,
        /// Samples each part must have.
        each: u32,
        /// What else may help, beginning with a comma; else empty.
        also: &'static str,
    },
    /// A class can't give each of its holders a sample.
    #[error(
        "class {class} has {samples} samples for {holders} clients that should hold it\nhint: use fewer clients, or fewer classes a client"
    )]
    ClassTooSmall {
        /// The class.
        class: usize,
        /// Its samples.
        samples: usize,
        /// Clients that should hold it.
        holders: usize,
    },
    /// The rule needs whole groups of clients.
    #[error("`{partition}` needs the number of clients to be a multiple of the {num_classes} classes, not {clients}\nhint: use {}", multiples(*clients, *num_classes))]
    NotMultiple {
        /// The partition's name.
        partition: &'static str,
        /// Clients asked for.
        clients: u32,
        /// Classes of the data set.
        num_classes: usize,
    },
    /// The rule gives every client classes of its own.
    #[error("`limit_labels_flex` gives every client classes of its own, so it needs at most {num_classes} clients, not {clients}")]
    MoreClientsThanClasses {
        /// Clients asked for.
        clients: u32,
        /// Classes of the data set.
        num_classes: usize,
    },
    /// Not that many different classes.
    #[error("`{partition}` asks for {asked} classes a client; it must be in 1..={num_classes}")]
    ClassesPerClient {
        /// The partition's name.
        partition: &'static str,
        /// Classes asked for.
        asked: u32,
        /// Classes of the data set.
        num_classes: usize,
    },
    /// A parameter outside its range.
    #[error("`{name}` is {value}; it must be {range}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
    /// No draw gave every client enough.
    #[error(
        "no draw out of {draws} gave each of {clients} clients {min_samples} samples\nhint: use a larger alpha, fewer clients, or a smaller min_samples (0 allows clients without samples)"
    )]
    NoLuck {
        /// Draws made.
        draws: u32,
        /// Clients asked for.
        clients: u32,
        /// Samples that each should have.
        min_samples: u32,
    },
    /// The data set has no natural clients.
    #[error("`natural_id` needs a data set with clients of its own, such as `shakespeare`")]
    NoNaturalClients,
    /// As many natural ids as samples are needed.
    #[error("there are {ids} natural clients' ids for {samples} samples")]
    NaturalIds {
        /// Ids given.
        ids: usize,
        /// Samples.
        samples: usize,
    },
    /// Fewer natural clients than asked for.
    #[error("{clients} clients are asked for, but the data set has {natural} of its own\nhint: use at most {natural} clients")]
    TooFewNaturalClients {
        /// Clients asked for.
        clients: u32,
        /// Natural clients.
        natural: usize,
    },
}

/// The multiples of `num_classes` next to `clients`, as a hint.
fn multiples(clients: u32, num_classes: usize) -> String {
    let below = clients as usize / num_classes * num_classes;
    let above = below + num_classes;
    if below == 0 { format!("{above} clients") } else { format!("{below} or {above} clients") }
}

/// Divides samples `0..labels.len()` over `clients`: for each client the ascending indices of its samples, no sample twice.
///
/// `labels` are below `num_classes`; `natural` holds each sample's natural client, where the data set has such. Which partitions
/// hand out every sample is said at [`PartitionConfig`].
///
/// # Errors
/// Where the parameters, the number of clients and the data set don't go together.
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
    // Where nobody has said which version, as it's begun now.
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

/// The samples of each class, ascending.
fn by_class(labels: &[u16], num_classes: usize) -> Vec<Vec<u32>> {
    let mut classes = vec![Vec::new(); num_classes];
    for (index, &label) in (0..).zip(labels) {
        classes[usize::from(label)].push(index);
    }
    classes
}

/// The samples of each class, shuffled.
fn by_class_shuffled(labels: &[u16], num_classes: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
    let mut classes = by_class(labels, num_classes);
    for class in &mut classes {
        class.shuffle(rng);
    }
    classes
}

/// Chunk `position` of `parts` nearly equal consecutive chunks of `samples`: their lengths differ by at most 1.
fn chunk(samples: &[u32], position: usize, parts: usize) -> &[u32] {
    let cut = |position: usize| (samples.len() as u128 * position as u128 / parts as u128) as usize;
    &samples[cut(position)..cut(position + 1)]
}

/// Deals `samples` round-robin, beginning with client 0.
fn deal(samples: impl IntoIterator<Item = u32>, parts: &mut [Vec<u32>]) {
    let clients = parts.len();
    for (position, sample) in samples.into_iter().enumerate() {
        parts[position % clients].push(sample);
    }
}

/// Gives each class's samples, in nearly equal chunks, to the clients that hold it; `held[client]` lists classes. With `carry`, which of them get one more
/// follows from what they got of other classes; without, from their place among the holders.
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
