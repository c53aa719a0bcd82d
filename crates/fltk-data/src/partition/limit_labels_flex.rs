//! KFLTK's `limit labels flex`.

use fltk_core::catalogue::{ClientCount, Entry, PartitionerEntry};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{
    classes::by_class_shuffled,
    deal::deal,
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

/// The partitioner `limit_labels_flex`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        clients: ClientCount::AtMostClasses,
        ..PartitionerEntry::by_label(Entry::new(
            "limit_labels_flex",
            "KFLTK's `limit labels flex`: `floor(classes / clients)` classes per client, exclusively; samples of left-over classes are dealt \
             round-robin. There must be at most as many clients as classes. Every sample is used.",
        ))
    },
    divide,
};

/// Gives every client `floor(classes / clients)` classes of its own, out of one permutation; samples of the classes left over are dealt
/// round-robin.
fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, .. } = *request;
    let classes = by_class_shuffled(labels, num_classes, rng);
    let mut order: Vec<usize> = (0..num_classes).collect();
    order.shuffle(rng);
    let own = num_classes / clients as usize;
    let (owned, left_over) = order.split_at(own * clients as usize);
    let mut parts: Vec<Vec<u32>> =
        owned.chunks(own).map(|chunk| chunk.iter().flat_map(|&class| &classes[class]).copied().collect()).collect();
    deal(left_over.iter().flat_map(|&class| &classes[class]).copied(), &mut parts);
    Ok(parts)
}
