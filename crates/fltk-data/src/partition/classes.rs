//! The samples of each class, and their division over the clients that hold it.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{carry::Carry, deal::chunk, error::PartitionError};

/// Returns the samples of each class, ascending.
pub(super) fn by_class(labels: &[u16], num_classes: usize) -> Vec<Vec<u32>> {
    let mut classes = vec![Vec::new(); num_classes];
    for (index, &label) in (0..).zip(labels) {
        classes[usize::from(label)].push(index);
    }
    classes
}

/// Returns the samples of each class, shuffled.
pub(super) fn by_class_shuffled(labels: &[u16], num_classes: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
    let mut classes = by_class(labels, num_classes);
    for class in &mut classes {
        class.shuffle(rng);
    }
    classes
}

/// Gives each class's samples, in nearly equal chunks, to the clients that hold it; `held[client]` lists classes. With `carry`, the clients that get one
/// sample more are those furthest behind from other classes; without it, their position among the holders decides.
pub(super) fn split_among_holders(
    classes: &[Vec<u32>],
    held: &[Vec<usize>],
    mut carry: Option<Carry>,
) -> Result<Vec<Vec<u32>>, PartitionError> {
    let mut holders = vec![Vec::new(); classes.len()];
    for (client, held) in held.iter().enumerate() {
        for &class in held {
            holders[class].push(client);
        }
    }
    let mut parts = vec![Vec::new(); held.len()];
    for (class, (samples, holders)) in classes.iter().zip(&holders).enumerate() {
        if samples.len() < holders.len() {
            return Err(PartitionError::ClassTooSmall { class, samples: samples.len(), holders: holders.len() });
        }
        match &mut carry {
            None => {
                for (position, &client) in holders.iter().enumerate() {
                    parts[client].extend_from_slice(chunk(samples, position, holders.len()));
                }
            }
            Some(carry) => {
                let share = 1.0 / holders.len() as f64;
                let shares: Vec<(usize, f64)> = holders.iter().map(|&client| (client, share)).collect();
                let mut rest = samples.as_slice();
                for (&client, size) in holders.iter().zip(carry.sizes(samples.len(), &shares)) {
                    let (part, others) = rest.split_at(size);
                    parts[client].extend_from_slice(part);
                    rest = others;
                }
            }
        }
    }
    Ok(parts)
}
