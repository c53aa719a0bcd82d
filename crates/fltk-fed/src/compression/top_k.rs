//! The largest entries of a difference; the others stay.

use fltk_core::catalogue::{CompressionEntry, Entry, Number, Range};

use super::{Compressor, Encoded, Misfit};

const FRACTION: Number = Number::new(
    "fraction",
    0.01,
    "Fraction of the parameters whose difference is sent; their number is rounded, and is one at least. Each takes 8 bytes, so half of them are as many bytes as all.",
)
.within(Range::positive_up_to(1.0));

/// The names of the places of the entries that are sent, ascending, and of these.
const INDICES: &str = "indices";
const VALUES: &str = "values";

/// The entries of largest magnitude, of all tensors together. A client adds what it didn't send to its next difference, so that it is sent in the end.
pub static COMPRESSOR: Compressor = Compressor {
    entry: CompressionEntry::with_feedback(
        Entry::new(
            "top_k",
            "The differences of the parameters that changed most. What isn't sent is kept by the client, and added to its next difference (error feedback).",
        )
        .paper("Stich et al., Sparsified SGD with Memory, 2018, arXiv:1809.07599")
        .parameters(&[FRACTION.parameter()]),
    ),
    encode: |difference, _| {
        let num = difference.values.len();
        if u32::try_from(num).is_err() {
            return Err(Misfit::Impossible(format!("the model has {num} parameters, and `top_k` can name {} at most", u32::MAX)));
        }
        let (indices, values) = take(&mut difference.values.to_vec(), num_sent(FRACTION.of(difference.settings), num));
        Ok(Encoded { floats: [(VALUES.to_owned(), values)].into(), indices: [(INDICES.to_owned(), indices)].into(), ..Encoded::default() })
    },
    add: |settings, encoded, _, to| {
        let num = num_sent(FRACTION.of(settings), to.len());
        let indices = encoded.take_indices(INDICES, num)?;
        if !indices.is_sorted_by(|left, right| left < right) || indices.last().is_some_and(|last| *last as usize >= to.len()) {
            return Err(Misfit::Impossible(format!("its indices don't ascend within {}", to.len())));
        }
        add(&indices, &encoded.take_floats(VALUES, num)?, to);
        Ok(())
    },
    num_bytes: |settings, tensors| 8 * num_sent(FRACTION.of(settings), tensors.iter().sum()) as u64,
};

/// Returns the number of entries that are sent of `num_floats`: the fraction of them, rounded, but one at least.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a cast saturates, and both ends are checked"
)]
fn num_sent(fraction: f64, num_floats: usize) -> usize {
    ((fraction * num_floats as f64).round() as usize).max(1).min(num_floats)
}

/// Takes the `num` entries of largest magnitude out of `values`, of equal ones those of lower index, and leaves zeros. Returns their indices, ascending, and values.
///
/// Numbers that aren't finite are larger than all others. There are at most 2^32 - 1 values.
fn take(values: &mut [f32], num: usize) -> (Vec<u32>, Vec<f32>) {
    // Bits of numbers without a sign are ordered as the numbers are, and those of what isn't a number come last.
    let magnitude = |value: f32| value.abs().to_bits();
    let mut magnitudes: Vec<u32> = values.iter().copied().map(magnitude).collect();
    let num = num.min(values.len());
    let Some(last) = num.checked_sub(1) else { return (Vec::new(), Vec::new()) };
    let (larger, smallest, _) = magnitudes.select_nth_unstable_by(last, |left, right| right.cmp(left));
    let smallest = *smallest;
    let mut num_equal = num - larger.iter().filter(|magnitude| **magnitude > smallest).count();
    let (mut indices, mut taken) = (Vec::with_capacity(num), Vec::with_capacity(num));
    for (value, index) in values.iter_mut().zip(0_u32..) {
        let magnitude = magnitude(*value);
        let is_equal = magnitude == smallest && num_equal > 0;
        if is_equal {
            num_equal -= 1;
        }
        if is_equal || magnitude > smallest {
            indices.push(index);
            taken.push(std::mem::take(value));
        }
    }
    (indices, taken)
}

/// Adds entries to others. Indices that don't exist add nothing.
fn add(indices: &[u32], values: &[f32], to: &mut [f32]) {
    for (index, value) in indices.iter().zip(values) {
        if let Some(to) = to.get_mut(*index as usize) {
            *to += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_sent_is_rounded_and_one_at_least() {
        let cases = [
            (0.1, 100, 10),
            (0.1, 25, 3),
            (0.1, 24, 2),
            (0.001, 10, 1),
            (1.0, 7, 7),
            (0.5, 0, 0),
            (2.0, 7, 7),
            (0.0, 7, 1),
            (-1.0, 7, 1),
            (f64::NAN, 7, 1),
            (f64::INFINITY, 7, 7),
        ];
        for (fraction, num_floats, expected) in cases {
            assert_eq!(num_sent(fraction, num_floats), expected, "{fraction} of {num_floats}");
        }
    }

    #[test]
    fn the_largest_are_taken_and_of_equal_ones_the_first() {
        type Case = (&'static [f32], usize, &'static [u32], &'static [f32]);
        let cases: [Case; 7] = [
            (&[1.0, -3.0, 2.0, 0.5], 2, &[1, 2], &[1.0, 0.0, 0.0, 0.5]),
            (&[1.0, -1.0, 1.0, -1.0], 2, &[0, 1], &[0.0, 0.0, 1.0, -1.0]),
            (&[1.0, 2.0, -1.0, 3.0, 1.0], 3, &[0, 1, 3], &[0.0, 0.0, -1.0, 0.0, 1.0]),
            (&[0.0, 0.0, 1.0], 2, &[0, 2], &[0.0, 0.0, 0.0]),
            (&[5.0, f32::NAN, f32::NEG_INFINITY], 2, &[1, 2], &[5.0, 0.0, 0.0]),
            (&[5.0], 3, &[0], &[0.0]),
            (&[], 1, &[], &[]),
        ];
        for (values, num, indices, left) in cases {
            let mut rest = values.to_vec();
            let (taken, sent) = take(&mut rest, num);
            assert_eq!((&taken[..], &rest[..]), (indices, left), "{values:?}");
            let expected: Vec<u32> = indices.iter().map(|index| values[*index as usize].to_bits()).collect();
            assert_eq!(sent.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn it_takes_what_sorting_would_take(
            values in proptest::collection::vec(prop_oneof![-1.0_f32..1.0, (-3_i8..3).prop_map(f32::from)], 1..60),
            num in 1_usize..60,
        ) {
            let mut order: Vec<usize> = (0..values.len()).collect();
            // Stable: of equal ones the first.
            order.sort_by(|left, right| values[*right].abs().total_cmp(&values[*left].abs()));
            order.truncate(num);
            order.sort_unstable();
            let mut rest = values.clone();
            let (indices, sent) = take(&mut rest, num);
            prop_assert_eq!(indices.iter().map(|index| *index as usize).collect::<Vec<_>>(), order);
            add(&indices, &sent, &mut rest);
            prop_assert_eq!(rest, values);
        }
    }
}
