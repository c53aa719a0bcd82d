//! Digests that tell whether two programs speak of the same data.

use sha2::{Digest, Sha256};

/// SHA-256, lower-case hex, over `labels`: each label as one little-endian `u16`, in data-set order, nothing else.
///
/// In Python: `hashlib.sha256(numpy.asarray(labels, "<u2").tobytes()).hexdigest()`.
#[must_use]
pub fn labels_digest(labels: &[u16]) -> String {
    let mut hash = Sha256::new();
    for label in labels {
        hash.update(label.to_le_bytes());
    }
    hex::encode(hash.finalize())
}

/// SHA-256 of `bytes`, lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
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
