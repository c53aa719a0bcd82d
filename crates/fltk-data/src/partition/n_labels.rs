//! KFLTK's `n labels`.

use fltk_core::catalogue::{Entry, PartitionerEntry, Whole};
use rand_chacha::ChaCha8Rng;

use super::{
    classes::{by_class_shuffled, split_among_holders},
    deal::chunk,
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
    version::{VERSION, carry},
};

const N: Whole = Whole::required("n", "Classes per client.").within(1, u32::MAX);

/// The partitioner `n_labels`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        classes_per_client: Some(N),
        ..PartitionerEntry::by_label(
            Entry::new(
                "n_labels",
                "KFLTK's `n labels`: clients take `n` classes each from a repeated list of classes, in order. Every sample is used.",
            )
            .parameters(&[N.parameter(), VERSION.parameter()]),
        )
    },
    divide,
};

/// Gives clients, in order, `n` classes each from the end of the list `0, 1, ..., L-1` repeated `ceil(n * clients / L)` times. A class is
/// cut into as many chunks as the list has copies of it; chunks that no client takes are split evenly over all clients, so that a client
/// may end with more than `n` classes unless `n * clients` is a multiple of the number of classes.
fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let carry = carry(request)?;
    let mut classes = by_class_shuffled(labels, num_classes, rng);
    let (clients, n) = (clients as usize, N.of(settings) as usize);
    let copies = (n * clients).div_ceil(num_classes);
    if let Some(class) = classes.iter().position(|samples| samples.len() < copies) {
        return Err(PartitionError::ClassTooSmall { class, samples: classes[class].len(), holders: copies });
    }
    // Classes are taken from the end of the list. The last holder gets the classes that no client takes: at most one copy of each.
    classes.reverse();
    let mut held = vec![Vec::new(); clients + 1];
    for position in 0..copies * num_classes {
        held[(position / n).min(clients)].push(position % num_classes);
    }
    let mut parts = split_among_holders(&classes, &held, carry)?;
    let unclaimed = parts.pop().unwrap_or_default();
    for (client, part) in parts.iter_mut().enumerate() {
        part.extend_from_slice(chunk(&unclaimed, client, clients));
    }
    Ok(parts)
}
