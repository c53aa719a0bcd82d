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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records in `bytes`, up to the first that is incomplete or damaged.
    fn unframe(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let next = |bytes: &mut &[u8], count: usize| -> Option<Vec<u8>> {
            let (head, rest) = bytes.split_at_checked(count)?;
            *bytes = rest;
            Some(head.to_vec())
        };
        let checked = |bytes: &mut &[u8], count: usize| -> Option<Vec<u8>> {
            let content = next(bytes, count)?;
            let crc = next(bytes, 4)?;
            // Unmasked here rather than masked again: the two directions check each other.
            let unmasked = u32::from_le_bytes(crc.try_into().ok()?).wrapping_sub(0xa282_ead8).rotate_left(15);
            (unmasked == crc32c::crc32c(&content)).then_some(content)
        };
        let record = |bytes: &mut &[u8]| -> Option<Vec<u8>> {
            let length = u64::from_le_bytes(checked(bytes, 8)?.try_into().ok()?);
            checked(bytes, usize::try_from(length).ok()?)
        };
        while let Some(content) = record(&mut bytes) {
            records.push(content);
        }
        records
    }

    #[test]
    fn golden() {
        // From TensorBoard's own writer: `tensorboard.summary.writer.record_writer.RecordWriter`.
        assert_eq!(hex::encode(frame(b"fltk")), "040000000000000042455204666c746bfedd15a0");
    }

    proptest! {
        #[test]
        fn records_come_back(records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let bytes: Vec<u8> = records.iter().flat_map(|record| frame(record)).collect();
            prop_assert_eq!(unframe(&bytes), records);
        }

        #[test]
        fn a_cut_or_a_flipped_bit_never_gives_another_record(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..5), cut in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut bytes: Vec<u8> = records.iter().flat_map(|record| frame(record)).collect();
            let position = cut.index(bytes.len());
            let whole = unframe(&bytes[..position]);
            prop_assert!(whole.len() < records.len());
            prop_assert_eq!(&whole[..], &records[..whole.len()]);
            bytes[position] ^= 1 << bit;
            prop_assert_eq!(unframe(&bytes), whole);
        }
    }
}
