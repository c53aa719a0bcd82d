//! Random classes for every client, as in FedLab and Flower.

use fltk_core::catalogue::{Entry, PartitionerEntry, Whole};
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::{
    classes::{by_class_shuffled, split_among_holders},
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
    version::{VERSION, carry},
};

const CLASSES_PER_CLIENT: Whole = Whole::required("classes_per_client", "Classes per client.").within(1, u32::MAX);

/// The partitioner `pathological`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        classes_per_client: Some(CLASSES_PER_CLIENT),
        ..PartitionerEntry::by_label(
            Entry::new(
                "pathological",
                "Exactly `classes_per_client` random classes for every client, with each class split equally over its holders (as in FedLab, \
                 Flower). Every sample is used if every class has a holder.",
            )
            .parameters(&[CLASSES_PER_CLIENT.parameter(), VERSION.parameter()]),
        )
    },
    divide,
};

/// Lets every client draw `classes_per_client` classes; each class is split nearly equally over its holders. A class that no client drew is
/// left out.
fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let (classes_per_client, carry) = (CLASSES_PER_CLIENT.of(settings) as usize, carry(request)?);
    let classes = by_class_shuffled(labels, num_classes, rng);
    let draw = |_| index::sample(rng, num_classes, classes_per_client).into_vec();
    let held: Vec<Vec<usize>> = (0..clients).map(draw).collect();
    split_among_holders(&classes, &held, carry)
}
