//! KFLTK's partitions with a given number of classes per client.

use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Carry, PartitionError, by_class_shuffled, check_classes_per_client, check_multiple, chunk, deal, split_among_holders};

/// Gives every client exactly `limit` classes; each class is split nearly equally over its holders.
pub(super) fn limit_labels(
    labels: &[u16],
    num_classes: usize,
    clients: u32,
    limit: u32,
    carry: Option<Carry>,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    check_classes_per_client("limit_labels", limit, num_classes)?;
    check_multiple("limit_labels", clients, num_classes)?;
    let classes = by_class_shuffled(labels, num_classes, rng);
    let held = assign(num_classes, clients as usize, limit as usize, rng);
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

/// Gives every client `floor(classes / clients)` classes of its own, out of one permutation; samples of the classes left over are dealt
/// round-robin.
pub(super) fn flex(labels: &[u16], num_classes: usize, clients: u32, rng: &mut ChaCha8Rng) -> Result<Vec<Vec<u32>>, PartitionError> {
    if clients as usize > num_classes {
        return Err(PartitionError::MoreClientsThanClasses { clients, num_classes });
    }
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

/// Gives clients, in order, `n` classes each from the end of the list `0, 1, ..., L-1` repeated `ceil(n * clients / L)` times. A class is
/// cut into as many chunks as the list has copies of it; chunks that no client takes are split evenly over all clients, so that a client
/// may end with more than `n` classes unless `n * clients` is a multiple of the number of classes.
pub(super) fn n_labels(
    labels: &[u16],
    num_classes: usize,
    clients: u32,
    n: u32,
    carry: Option<Carry>,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    check_classes_per_client("n_labels", n, num_classes)?;
    let mut classes = by_class_shuffled(labels, num_classes, rng);
    let (clients, n) = (clients as usize, n as usize);
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
