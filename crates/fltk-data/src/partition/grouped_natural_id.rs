//! Groups of the data set's own clients, as in Flower's `GroupedNaturalIdPartitioner`: organizations of several users each.

use std::collections::BTreeMap;

use fltk_core::catalogue::{Entry, PartitionerEntry, Switch, Whole, Word};
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

use super::{
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

const GROUP_SIZE: Whole =
    Whole::required("group_size", "The number of the data set's own clients that are one client.").within(1, u32::MAX);
const REMAINDER: Word = Word::new(
    "remainder",
    &["smaller", "bigger", "drop", "strict"],
    "What becomes of natural clients that are too few for a group: a `smaller` last group, `bigger` first groups, with one more each, nothing (`drop`), or an error (`strict`).",
);
const SHUFFLE: Switch = Switch::new(
    "shuffle",
    false,
    "True if natural clients are put into groups in random order, false if in ascending order of their numbers.",
);

/// The partitioner `grouped_natural_id`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        needs_natural_clients: true,
        ..PartitionerEntry::new(
            Entry::new(
                "grouped_natural_id",
                "Groups of `group_size` of the data set's own clients (speakers, authors, writers) each (as Flower's `GroupedNaturalIdPartitioner`). Every sample is used if `clients` equals the \
                 number of groups and none is dropped; otherwise only those of `clients` groups, drawn at random.",
            )
            .parameters(&[GROUP_SIZE.parameter(), REMAINDER.parameter(), SHUFFLE.parameter()]),
        )
    },
    divide,
};

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, natural, clients, settings, .. } = *request;
    let natural = natural.ok_or(PartitionError::NoNaturalClients)?;
    if natural.len() != labels.len() {
        return Err(PartitionError::NaturalIds { ids: natural.len(), samples: labels.len() });
    }
    let mut samples: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (index, &client) in (0..).zip(natural) {
        samples.entry(client).or_default().push(index);
    }
    let mut ids: Vec<u32> = samples.keys().copied().collect();
    if SHUFFLE.of(settings) {
        ids.shuffle(rng);
    }
    let groups = groups(&ids, GROUP_SIZE.of(settings), REMAINDER.of(settings))?;
    if groups.len() < clients as usize {
        return Err(PartitionError::TooFewGroups { clients, groups: groups.len(), natural: ids.len() });
    }
    let mut chosen = index::sample(rng, groups.len(), clients as usize).into_vec();
    chosen.sort_unstable();
    let part = |group: usize| groups[group].iter().filter_map(|id| samples.get(id)).flatten().copied().collect();
    Ok(chosen.into_iter().map(part).collect())
}

/// Cuts `ids` into groups of `size`, with the `remainder` as the parameter says.
fn groups<'a>(ids: &'a [u32], size: u32, remainder: &str) -> Result<Vec<&'a [u32]>, PartitionError> {
    let size_given = size;
    let size = (size as usize).max(1);
    let rest = ids.len() % size;
    Ok(match remainder {
        "strict" if rest > 0 => return Err(PartitionError::Remainder { natural: ids.len(), size: size_given, rest }),
        // Without a whole group, there is none.
        "bigger" => {
            let (count, mut left) = (ids.len() / size, ids);
            let mut group = |place: usize| {
                let (group, others) = left.split_at(ids.len() / count + usize::from(place < ids.len() % count));
                left = others;
                group
            };
            (0..count).map(&mut group).collect()
        }
        "drop" => ids.chunks_exact(size).collect(),
        _ => ids.chunks(size).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_are_treated_as_asked() {
        let check = |ids: &[u32], size, remainder: &str, expected: &[&[u32]]| {
            assert_eq!(groups(ids, size, remainder).as_deref(), Ok(expected), "{ids:?} in groups of {size}, {remainder}");
        };
        let seven = [3, 1, 4, 15, 9, 2, 6];
        check(&seven, 3, "smaller", &[&[3, 1, 4], &[15, 9, 2], &[6]]);
        check(&seven, 3, "bigger", &[&[3, 1, 4, 15], &[9, 2, 6]]);
        // numpy.array_split of 7 into 7 / 4 groups, and of 11 into 11 / 4.
        check(&seven, 4, "bigger", &[&seven]);
        let eleven = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        check(&eleven, 4, "bigger", &[&eleven[..6], &eleven[6..]]);
        check(&seven, 3, "drop", &[&[3, 1, 4], &[15, 9, 2]]);
        assert_eq!(groups(&seven, 3, "strict"), Err(PartitionError::Remainder { natural: 7, size: 3, rest: 1 }));
        for remainder in ["smaller", "bigger", "drop", "strict"] {
            check(&seven[..6], 3, remainder, &[&[3, 1, 4], &[15, 9, 2]]);
            check(&seven[..2], 1, remainder, &[&[3], &[1]]);
        }
        check(&seven, 9, "smaller", &[&seven]);
        check(&seven, 9, "bigger", &[]);
        check(&seven, 9, "drop", &[]);
    }
}
