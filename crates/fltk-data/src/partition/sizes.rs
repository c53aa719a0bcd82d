//! IID parts of given sizes.

use fltk_core::catalogue::{Entry, PartitionerEntry, Wholes};
use rand_chacha::ChaCha8Rng;

use super::{
    deal::permutation,
    error::PartitionError,
    partitioner::{CLIENTS_MAX, Partitioner, Parts, Request},
};

const SIZES: Wholes =
    Wholes::required("sizes", CLIENTS_MAX as usize, (1, u32::MAX), "The number of samples of each client, in the order of clients.");

/// The partitioner `sizes`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        client_sizes: Some(SIZES),
        ..PartitionerEntry::new(
            Entry::new(
                "sizes",
                "IID parts of given sizes (as Flower's `SizePartitioner`). Every sample is used if the sizes sum to the training set's; otherwise those \
                 that are left out are drawn at random.",
            )
            .parameters(&[SIZES.parameter()]),
        )
    },
    divide,
};

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let order = permutation(request.labels.len(), rng);
    let mut rest = order.as_slice();
    let mut part = |size: u32| {
        let (part, others) = rest.split_at(size as usize);
        rest = others;
        part.to_vec()
    };
    Ok(SIZES.of(request.settings).into_iter().map(&mut part).collect())
}
