//! Partitions by label or by natural client that need no machinery of their own.

use std::collections::BTreeMap;

use rand::{
    RngExt,
    seq::{SliceRandom, index},
};
use rand_chacha::ChaCha8Rng;

use super::{Carry, PartitionError, by_class, by_class_shuffled, check_classes_per_client, check_multiple, chunk, split_among_holders};

/// KFLTK's `q sampler`: a sample of class `m` goes to the clients of group `m` (those with `client mod classes = m`) with probability `q`,
/// otherwise to one of the other groups, which are equally likely. Within a group, samples are dealt round-robin.
pub(super) fn q_sampler(
    labels: &[u16],
    num_classes: usize,
    clients: u32,
    q: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    if !(0.0..=1.0).contains(&q) {
        return Err(PartitionError::Parameter { name: "q", value: q, range: "in 0..=1" });
    }
    check_multiple("q_sampler", clients, num_classes)?;
    let members = clients as usize / num_classes;
    let mut parts = vec![Vec::new(); clients as usize];
    let mut dealt = vec![0; num_classes];
    for (class, samples) in by_class(labels, num_classes).into_iter().enumerate() {
        for sample in samples {
            let group = if num_classes == 1 || rng.random_bool(q) { class } else { other(class, num_classes, rng) };
            parts[group + num_classes * (dealt[group] % members)].push(sample);
            dealt[group] += 1;
        }
    }
    Ok(parts)
}

/// Draws one of `0..num_classes` except `class`, uniformly.
fn other(class: usize, num_classes: usize, rng: &mut ChaCha8Rng) -> usize {
    (class + rng.random_range(1..num_classes)) % num_classes
}

/// Sorts the samples by label (shuffled within a label), cuts them into equal shards, and deals these out at random (McMahan et al. 2017,
/// arXiv:1602.05629).
pub(super) fn shard(
    labels: &[u16],
    num_classes: usize,
    clients: u32,
    shards_per_client: u32,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    let shards = u64::from(clients) * u64::from(shards_per_client);
    if shards_per_client == 0 {
        return Err(PartitionError::Parameter { name: "shards_per_client", value: 0.0, range: "at least 1" });
    }
    if (labels.len() as u64) < shards {
        return Err(PartitionError::TooFewSamples { samples: labels.len(), parts: shards, each: 1, also: ", or fewer shards a client" });
    }
    let sorted = by_class_shuffled(labels, num_classes, rng).concat();
    // The number is at most the number of samples, so it fits.
    let shards = shards as usize;
    let mut order: Vec<usize> = (0..shards).collect();
    order.shuffle(rng);
    let part = |held: &[usize]| held.iter().flat_map(|&position| chunk(&sorted, position, shards)).copied().collect();
    Ok(order.chunks(shards_per_client as usize).map(part).collect())
}

/// Lets every client draw `classes_per_client` classes; each class is split nearly equally over its holders. A class that no client drew is
/// left out.
pub(super) fn pathological(
    labels: &[u16],
    num_classes: usize,
    clients: u32,
    classes_per_client: u32,
    carry: Option<Carry>,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    check_classes_per_client("pathological", classes_per_client, num_classes)?;
    let classes = by_class_shuffled(labels, num_classes, rng);
    let draw = |_| index::sample(rng, num_classes, classes_per_client as usize).into_vec();
    let held: Vec<Vec<usize>> = (0..clients).map(draw).collect();
    split_among_holders(&classes, &held, carry)
}

/// Assigns the natural clients in ascending order of their ids: all of them, or `clients` of them drawn at random.
pub(super) fn natural_id(
    samples: usize,
    natural: Option<&[u32]>,
    clients: u32,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    let natural = natural.ok_or(PartitionError::NoNaturalClients)?;
    if natural.len() != samples {
        return Err(PartitionError::NaturalIds { ids: natural.len(), samples });
    }
    let mut parts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (index, &client) in (0..).zip(natural) {
        parts.entry(client).or_default().push(index);
    }
    if parts.len() < clients as usize {
        return Err(PartitionError::TooFewNaturalClients { clients, natural: parts.len() });
    }
    let mut chosen: Vec<usize> = (0..parts.len()).collect();
    chosen.shuffle(rng);
    chosen.truncate(clients as usize);
    chosen.sort_unstable();
    let mut parts: Vec<Vec<u32>> = parts.into_values().collect();
    Ok(chosen.into_iter().map(|place| std::mem::take(&mut parts[place])).collect())
}
