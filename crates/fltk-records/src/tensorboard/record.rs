//! TFRecord framing: length, masked checksum of the length, bytes, masked checksum of the bytes; little-endian.

/// One record as it stands in a file.
#[must_use]
pub fn frame(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    let mut framed = Vec::with_capacity(record.len() + 16);
    framed.extend_from_slice(&length);
    framed.extend_from_slice(&masked_crc(&length).to_le_bytes());
    framed.extend_from_slice(record);
    framed.extend_from_slice(&masked_crc(record).to_le_bytes());
    framed
}

/// CRC-32C, rotated right by 15 bits plus a constant: TensorFlow's `crc32c::Mask`, so that a checksum over checksums is of use.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records in `bytes`, up to the first that is incomplete or damaged; and the bytes from there on.
pub(super) fn unframe(bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut records, mut rest) = (Vec::new(), bytes);
    while let Some((record, after)) = first(rest) {
        records.push(record);
        rest = after;
    }
    (records, rest)
}

/// The first record in `bytes`, and what is behind it.
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = checked(bytes, 8)?;
    checked(rest, usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?)
}

/// As many bytes as `count` says, whose checksum is behind them, and what is behind that.
fn checked(bytes: &[u8], count: usize) -> Option<(&[u8], &[u8])> {
    let (content, rest) = bytes.split_at_checked(count)?;
    let (crc, rest) = rest.split_at_checked(4)?;
    // Unmasked here rather than masked again: the two directions check each other.
    let unmasked = u32::from_le_bytes(crc.try_into().ok()?).wrapping_sub(0xa282_ead8).rotate_left(15);
    (unmasked == crc32c::crc32c(content)).then_some((content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden() {
        // From TensorBoard's own writer: `tensorboard.summary.writer.record_writer.RecordWriter`.
        assert_eq!(hex::encode(frame(b"fltk")), "040000000000000042455204666c746bfedd15a0");
    }

    proptest! {
        #[test]
        fn records_come_back(records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let bytes: Vec<u8> = records.iter().flat_map(|record| frame(record)).collect();
            prop_assert_eq!(unframe(&bytes).0, records);
        }

        #[test]
        fn a_cut_or_a_flipped_bit_never_gives_another_record(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..5), cut in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut bytes: Vec<u8> = records.iter().flat_map(|record| frame(record)).collect();
            let position = cut.index(bytes.len());
            let whole: Vec<Vec<u8>> = unframe(&bytes[..position]).0.iter().map(|record| record.to_vec()).collect();
            prop_assert!(whole.len() < records.len());
            prop_assert_eq!(&whole[..], &records[..whole.len()]);
            bytes[position] ^= 1 << bit;
            prop_assert_eq!(unframe(&bytes).0, whole);
        }
    }
}
