//! The data set's own clients.

use std::{collections::BTreeMap, ops::Range};

use fltk_core::{
    catalogue::{Entry, PartitionerEntry},
    seed::{Purpose, Seed},
};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::sources::synthetic::Synthetic;

use super::{
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

/// The partitioner `natural_id`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        needs_natural_clients: true,
        draws_natural_clients: true,
        ..PartitionerEntry::new(Entry::new(
            "natural_id",
            "The data set's own clients (speakers, authors, writers). Every sample is used if `clients` equals their number; otherwise only the \
             samples of `clients` of them, drawn at random.",
        ))
    },
    divide,
};

/// Assigns the natural clients in ascending order of their ids: all of them, or `clients` of them drawn at random.
fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, natural, clients, .. } = *request;
    let samples = labels.len();
    let natural = natural.ok_or(PartitionError::NoNaturalClients)?;
    if natural.len() != samples {
        return Err(PartitionError::NaturalIds { ids: natural.len(), samples });
    }
    let mut parts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (index, &client) in (0..).zip(natural) {
        parts.entry(client).or_default().push(index);
    }
    let chosen = choose(parts.len(), clients, rng)?;
    let mut parts: Vec<Vec<u32>> = parts.into_values().collect();
    Ok(chosen.into_iter().map(|place| std::mem::take(&mut parts[place])).collect())
}

/// Does the same for samples that are made, of which the numbers are enough.
pub(crate) fn ranges(made: &Synthetic, clients: u32, seed: Seed) -> Result<Vec<Range<u32>>, PartitionError> {
    if clients == 0 {
        return Err(PartitionError::NoClients);
    }
    let chosen = choose(made.num_clients(), clients, &mut seed.stream(Purpose::Partition, &[]))?;
    Ok(chosen.into_iter().map(|client| made.samples_of(client)).collect())
}

/// Returns `clients` of the natural clients, ascending, drawn at random.
fn choose(natural: usize, clients: u32, rng: &mut ChaCha8Rng) -> Result<Vec<usize>, PartitionError> {
    if natural < clients as usize {
        return Err(PartitionError::TooFewNaturalClients { clients, natural });
    }
    let mut chosen: Vec<usize> = (0..natural).collect();
    chosen.shuffle(rng);
    chosen.truncate(clients as usize);
    chosen.sort_unstable();
    Ok(chosen)
}
