//! KFLTK's `limit labels`.

use fltk_core::catalogue::{ClientCount, Entry, PartitionerEntry, Whole};
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    classes::{by_class_shuffled, split_among_holders},
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
    version::{VERSION, carry},
};

const LIMIT: Whole = Whole::required("limit", "Classes per client.").within(1, u32::MAX);

/// The partitioner `limit_labels`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        clients: ClientCount::MultipleOfClasses,
        classes_per_client: Some(LIMIT),
        ..PartitionerEntry::by_label(
            Entry::new(
                "limit_labels",
                "KFLTK's `limit labels`: every client holds exactly `limit` classes. The number of clients must be a multiple of the number of \
                 classes. Every sample is used.",
            )
            .parameters(&[LIMIT.parameter(), VERSION.parameter()]),
        )
    },
    divide,
};

/// Gives every client exactly `limit` classes; each class is split nearly equally over its holders.
fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let carry = carry(request)?;
    let classes = by_class_shuffled(labels, num_classes, rng);
    let held = assign(num_classes, clients as usize, LIMIT.of(settings) as usize, rng);
    split_among_holders(&classes, &held, carry)
}

/// Gives every client `limit` different classes, every class to `limit * clients / num_classes` clients.
///
/// A random class that is still to be assigned goes to a random client that has room and lacks it. If every client with room already has
/// it, a full client takes it and passes on a class that the other lacks. Such an exchange always exists: some client lacks the class (it
/// is assigned to fewer clients than there are), and a full client holds more classes than one with room, so it holds one that the other
/// lacks.
fn assign(num_classes: usize, clients: usize, limit: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut held: Vec<Vec<usize>> = vec![Vec::new(); clients];
    let copies = limit * clients / num_classes;
    let mut deck: Vec<usize> = (0..num_classes).flat_map(|class| std::iter::repeat_n(class, copies)).collect();
    deck.shuffle(rng);
    for class in deck {
        let with_room: Vec<usize> = (0..clients).filter(|&client| held[client].len() < limit).collect();
        let lacking: Vec<usize> = with_room.iter().copied().filter(|&client| !held[client].contains(&class)).collect();
        if let Some(&client) = lacking.choose(rng) {
            held[client].push(class);
            continue;
        }
        let full: Vec<usize> = (0..clients).filter(|&client| held[client].len() == limit && !held[client].contains(&class)).collect();
        if let (Some(&poor), Some(&rich)) = (with_room.choose(rng), full.choose(rng)) {
            let spare: Vec<usize> = (0..limit).filter(|&place| !held[poor].contains(&held[rich][place])).collect();
            if let Some(&place) = spare.choose(rng) {
                let given = std::mem::replace(&mut held[rich][place], class);
                held[poor].push(given);
            }
        }
    }
    held
}
