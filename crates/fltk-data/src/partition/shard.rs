//! Shards of samples sorted by label (McMahan et al. 2017, arXiv:1602.05629).

use fltk_core::catalogue::{Entry, PartitionerEntry, Whole};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{
    classes::by_class_shuffled,
    deal::chunk,
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

const SHARDS_PER_CLIENT: Whole = Whole::required("shards_per_client", "Shards per client.").within(1, 10_000);

/// The partitioner `shard`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        samples_per_client: Some(SHARDS_PER_CLIENT),
        ..PartitionerEntry::by_label(
            Entry::new(
                "shard",
                "Samples sorted by label, cut into `clients * shards_per_client` shards and dealt out. Every sample is used.",
            )
            .paper("McMahan et al. 2017, arXiv:1602.05629")
            .parameters(&[SHARDS_PER_CLIENT.parameter()]),
        )
    },
    divide,
};

/// Sorts the samples by label (shuffled within a label), cuts them into equal shards, and deals these out at random.
fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let shards_per_client = SHARDS_PER_CLIENT.of(settings);
    let shards = u64::from(clients) * u64::from(shards_per_client);
    if shards_per_client == 0 {
        return Err(PartitionError::Parameter { name: "shards_per_client", value: 0.0, range: "at least 1" });
    }
    if (labels.len() as u64) < shards {
        return Err(PartitionError::TooFewSamples { samples: labels.len(), parts: shards, each: 1, also: ", or fewer shards per client" });
    }
    let sorted = by_class_shuffled(labels, num_classes, rng).concat();
    // The number is at most the number of samples, so it fits.
    let shards = shards as usize;
    let mut order: Vec<usize> = (0..shards).collect();
    order.shuffle(rng);
    let part = |held: &[usize]| held.iter().flat_map(|&position| chunk(&sorted, position, shards)).copied().collect();
    Ok(order.chunks(shards_per_client as usize).map(part).collect())
}
