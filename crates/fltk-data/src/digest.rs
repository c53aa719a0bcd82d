//! Digests that show whether two programs use the same data.

use sha2::{Digest, Sha256};

use crate::{dataset::Dataset, samples::Split};

/// Returns the SHA-256, in lower-case hex, of `labels`: each label as one little-endian `u16`, in data-set order, nothing else.
///
/// In Python, this is `hashlib.sha256(numpy.asarray(labels, "<u2").tobytes()).hexdigest()`.
#[must_use]
pub fn labels_digest(labels: &[u16]) -> String {
    let mut hash = Sha256::new();
    for label in labels {
        hash.update(label.to_le_bytes());
    }
    hex::encode(hash.finalize())
}

impl Dataset {
    /// Returns [`labels_digest`] of the training set's labels: partitions with equal digests are comparable index by index.
    #[must_use]
    pub fn labels_digest(&self) -> String {
        labels_digest(&self.train.labels())
    }
}

/// Returns the SHA-256 of `bytes`, in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns the SHA-256 of all samples of `dataset`, in order: it is the same for two copies of the data set, however their files are
/// packed.
#[must_use]
pub fn samples_digest(dataset: &Dataset) -> [u8; 32] {
    digest_of(&[&dataset.train, &dataset.test], Sha256::new())
}

/// Returns the SHA-256 of the training samples of `dataset` and of the clients that they belong to, if it has such.
#[must_use]
pub fn training_digest(dataset: &Dataset) -> [u8; 32] {
    let mut hash = Sha256::new();
    // Of samples that are made, the digest is of all that they and their clients follow from.
    let natural = if matches!(dataset.train, Split::Synthetic(_)) { None } else { dataset.train.natural_clients() };
    for client in natural.iter().flat_map(|clients| clients.iter()) {
        hash.update(client.to_le_bytes());
    }
    digest_of(&[&dataset.train], hash)
}

fn digest_of(splits: &[&Split], mut hash: Sha256) -> [u8; 32] {
    let number = |hash: &mut Sha256, number: usize| hash.update((number as u64).to_le_bytes());
    for split in splits {
        number(&mut hash, split.len());
        match split {
            Split::Images(set) => {
                set.shape.iter().for_each(|side| number(&mut hash, *side));
                hash.update(&set.pixels);
                set.labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
            }
            Split::Text(set) => {
                number(&mut hash, set.window);
                set.tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
                set.starts.iter().for_each(|start| hash.update(start.to_le_bytes()));
            }
            Split::Vectors(set) => {
                number(&mut hash, set.vector_len());
                set.numbers().iter().for_each(|value| hash.update(value.to_le_bytes()));
                set.labels().iter().for_each(|label| hash.update(label.to_le_bytes()));
            }
            Split::Synthetic(made) => made.digest(&mut |bytes| hash.update(bytes)),
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_over_little_endian_u16() {
        assert_eq!(labels_digest(&[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(labels_digest(&[1, 258]), sha256_hex(&[1, 0, 2, 1]));
    }
}
