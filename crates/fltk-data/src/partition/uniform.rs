//! Equal parts, independent and identically distributed.

use fltk_core::catalogue::{Entry, PartitionerEntry};
use rand_chacha::ChaCha8Rng;

use super::{
    deal::{check_one_each, deal, permutation},
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

/// The partitioner `uniform`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry::new(Entry::new(
        "uniform",
        "Equal, independent and identically distributed parts: a permutation, dealt round-robin. Every sample is used.",
    )),
    divide,
};

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let samples = request.labels.len();
    check_one_each(samples, request.clients)?;
    let mut parts = vec![Vec::new(); request.clients as usize];
    deal(permutation(samples, rng), &mut parts);
    Ok(parts)
}
