//! Half precision: IEEE 754 binary16, in two bytes.

use fltk_core::catalogue::{CompressionEntry, Entry};
use half::f16;

use super::{Compressor, Encoded};

/// The name of the numbers.
const VALUES: &str = "fp16";

/// The bytes of a number.
const NUM_BYTES: usize = 2;

/// Half precision. Numbers beyond its largest one, 65504, are sent as that.
pub static COMPRESSOR: Compressor = Compressor {
    entry: CompressionEntry::new(Entry::new("fp16", "The difference of each parameter in half precision: 2 bytes instead of 4.")),
    encode: |difference, _| {
        let values = encode(difference.values);
        Ok(Encoded { bytes: [(VALUES.to_owned(), values)].into(), ..Encoded::default() })
    },
    add: |_, encoded, _, to| {
        add(&encoded.take_bytes(VALUES, to.len() * NUM_BYTES)?, to);
        Ok(())
    },
    num_bytes: |_, tensors| tensors.iter().map(|len| (len * NUM_BYTES) as u64).sum(),
};

/// Returns the bytes of numbers, little-endian.
fn encode(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * NUM_BYTES);
    values.iter().for_each(|value| bytes.extend_from_slice(&nearest(*value).to_le_bytes()));
    bytes
}

/// Adds the numbers of these bytes to others.
fn add(bytes: &[u8], to: &mut [f32]) {
    let (numbers, _) = bytes.as_chunks::<NUM_BYTES>();
    to.iter_mut().zip(numbers).for_each(|(to, bytes)| *to += f16::from_le_bytes(*bytes).to_f32());
}

/// Returns the nearest number, ties to even; the largest one for finite values beyond it.
fn nearest(value: f32) -> f16 {
    let largest = f16::MAX.to_f32();
    f16::from_f32(if value.is_finite() { value.clamp(-largest, largest) } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value of these bits by the standard's formula.
    fn value(bits: u16) -> f64 {
        let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
        let magnitude = match exponent {
            0 => fraction * 2_f64.powi(-24),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
        };
        if bits >> 15 == 0 { magnitude } else { -magnitude }
    }

    #[expect(clippy::cast_possible_truncation, reason = "all of them are single-precision numbers")]
    fn single(value: f64) -> f32 {
        let single = value as f32;
        assert!(value.is_nan() || f64::from(single) == value, "{value}");
        single
    }

    #[test]
    fn all_numbers_of_half_precision_are_read_and_written() {
        for bits in 0..=u16::MAX {
            let number = single(value(bits));
            let mut read = [0.0];
            add(&bits.to_le_bytes(), &mut read);
            if number.is_nan() {
                assert!(read[0].is_nan() && nearest(number).is_nan(), "{bits:04x}");
            } else {
                assert_eq!(read[0], number, "{bits:04x}");
                assert_eq!(nearest(number).to_bits(), bits, "{bits:04x}");
            }
        }
    }

    #[test]
    fn numbers_between_two_go_to_the_nearer_and_from_the_middle_to_the_even_one() {
        // From zero to the last but one: each with the next.
        for bits in 0..0x7bff_u16 {
            let middle = single(f64::midpoint(value(bits), value(bits + 1)));
            let even = bits + (bits & 1);
            for (number, expected) in [(middle.next_down(), bits), (middle, even), (middle.next_up(), bits + 1)] {
                assert_eq!(nearest(number).to_bits(), expected, "{number:e}");
                assert_eq!(nearest(-number).to_bits(), expected | 0x8000, "{number:e}");
            }
        }
    }

    #[test]
    fn what_is_too_large_saturates_and_what_is_not_finite_stays_so() {
        for number in [65504.0, 65519.0, 65520.0, 65536.0, 1e9, f32::MAX] {
            assert_eq!(nearest(number).to_f32(), 65504.0, "{number}");
            assert_eq!(nearest(-number).to_f32(), -65504.0, "{number}");
        }
        for number in [f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(nearest(number).to_f32(), number);
        }
        assert!(nearest(f32::NAN).is_nan());
        assert_eq!(encode(&[1.0, -2.0, 1.0 / 3.0, 1e-8]), [0x00, 0x3c, 0x00, 0xc0, 0x55, 0x35, 0x00, 0x00]);
    }

    proptest! {
        #[test]
        fn the_error_is_at_most_half_of_the_last_bit(number in -65504.0_f32..65504.0, smaller in 0_i32..40) {
            let number = number * 2_f32.powi(-smaller);
            let error = (f64::from(number) - f64::from(nearest(number).to_f32())).abs();
            // 11 bits of a normal number, and a step of 2^-24 below these.
            let bound = (f64::from(number.abs()) * 2_f64.powi(-11)).max(2_f64.powi(-25));
            prop_assert!(error <= bound, "{number:e}: {error:e} > {bound:e}");
        }
    }
}
