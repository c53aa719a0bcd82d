//! KFLTK's `q sampler`.

use fltk_core::catalogue::{ClientCount, Entry, Number, PartitionerEntry, Range};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    classes::by_class,
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

const Q_RANGE: Range = Range::between(0.0, 1.0);
const Q: Number =
    Number::required("q", "The probability that a sample goes to the group of its class, in `0..=1`; `1/classes` is IID.").within(Q_RANGE);

/// The partitioner `q_sampler`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        clients: ClientCount::MultipleOfClasses,
        ..PartitionerEntry::by_label(
            Entry::new(
                "q_sampler",
                "KFLTK's `q sampler`: client `c` belongs to the group of class `c mod classes`; a sample of a class goes to its own group with \
                 probability `q`, otherwise to another group chosen uniformly. The number of clients must be a multiple of the number of \
                 classes. Every sample is used.",
            )
            .parameters(&[Q.parameter()]),
        )
    },
    divide,
};

/// Sends a sample of class `m` to the clients of group `m` (those with `client mod classes = m`) with probability `q`, otherwise to one of
/// the other groups, which are equally likely. Within a group, samples are dealt round-robin.
fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let q = Q.of(settings);
    if !Q_RANGE.contains(q) {
        return Err(PartitionError::Parameter { name: "q", value: q, range: "in 0..=1" });
    }
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
