//! 8 bits with stochastic rounding: a scale per tensor, and a whole number of scales per element.

use fltk_core::catalogue::{CompressionEntry, Entry};

use super::{Compressor, Encoded, Misfit};

/// The names of the scales, and of the elements.
const SCALES: &str = "scales";
const LEVELS_NAME: &str = "int8";

/// Each element is a number of steps from -127 to 127, of the size that the largest one of its tensor needs. It is rounded up or down at random, such that it is right on
/// average, by draws that depend on the seed, client and round.
pub static COMPRESSOR: Compressor = Compressor {
    entry: CompressionEntry::new(
        Entry::new(
            "int8",
            "The difference of each parameter in 255 steps of a size that its tensor has: 1 byte instead of 4. It is rounded at random, so that it is right on average.",
        )
        .paper("Alistarh et al., QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding, 2017, arXiv:1610.02132"),
    ),
    encode: |difference, random| {
        let (scales, levels) = encode(difference.values, difference.tensors.iter().copied(), random);
        Ok(Encoded { floats: [(SCALES.to_owned(), scales)].into(), bytes: [(LEVELS_NAME.to_owned(), levels)].into(), ..Encoded::default() })
    },
    add: |_, encoded, tensors, to| {
        let scales = encoded.take_floats(SCALES, tensors.len())?;
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite() || **scale < 0.0) {
            return Err(Misfit::Impossible(format!("it has the scale {scale}")));
        }
        add(&scales, &encoded.take_bytes(LEVELS_NAME, to.len())?, tensors.iter().copied(), to);
        Ok(())
    },
    num_bytes: |_, tensors| tensors.iter().map(|len| *len as u64 + 4).sum(),
};

/// The largest magnitude in scales.
const LEVELS: f32 = 127.0;

/// The number that stands for one that isn't finite. No other element has it, and scales stay finite.
const NOT_FINITE: i8 = i8::MIN;

/// Returns the scale of each tensor, and the elements as 8-bit two's complements. Each element takes one draw of 32 random bits, whatever its value.
fn encode(values: &[f32], tensors: impl Iterator<Item = usize>, random: &mut dyn FnMut() -> u32) -> (Vec<f32>, Vec<u8>) {
    let (mut scales, mut levels) = (Vec::new(), Vec::with_capacity(values.len()));
    let mut left = values;
    for len in tensors {
        let (tensor, others) = left.split_at(len.min(left.len()));
        let scale = scale(tensor);
        scales.push(scale);
        levels.extend(tensor.iter().map(|value| level(*value, scale, random()).cast_unsigned()));
        left = others;
    }
    (scales, levels)
}

/// Adds the elements to others.
fn add(scales: &[f32], levels: &[u8], tensors: impl Iterator<Item = usize>, to: &mut [f32]) {
    let mut elements = to.iter_mut().zip(levels);
    for (len, scale) in tensors.zip(scales) {
        elements.by_ref().take(len).for_each(|(to, level)| *to += value(level.cast_signed(), *scale));
    }
}

/// Returns the smallest scale in which 127 are enough for every finite element; 0 if all are zero.
fn scale(tensor: &[f32]) -> f32 {
    let largest = tensor.iter().filter(|value| value.is_finite()).fold(0.0, |largest: f32, value| largest.max(value.abs()));
    let scale = largest / LEVELS;
    if f64::from(scale) * f64::from(LEVELS) < f64::from(largest) { scale.next_up() } else { scale }
}

/// Returns floor(value / scale + u), where u is the draw as a fraction of 2^32. The quotient and the sum are in f64, which has them without a bias that matters.
#[expect(clippy::cast_possible_truncation, reason = "scales are such that quotients are within 127, and u is below 1")]
fn level(value: f32, scale: f32, random: u32) -> i8 {
    if !value.is_finite() {
        NOT_FINITE
    } else if scale == 0.0 {
        0
    } else {
        let uniform = f64::from(random) / 2_f64.powi(32);
        (f64::from(value) / f64::from(scale) + uniform).floor() as i8
    }
}

fn value(level: i8, scale: f32) -> f32 {
    if level == NOT_FINITE { f32::NAN } else { f32::from(level) * scale }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The draw that is this fraction of 2^32.
    fn draw(fraction: f64) -> u32 {
        (fraction * 2_f64.powi(32)) as u32
    }

    #[test]
    fn levels_are_those_worked_out_by_hand() {
        let cases = [
            // 0.6 / 0.25 = 2.4: up from 0.6 on.
            (0.6, 0.25, 0.0, 2),
            (0.6, 0.25, 0.59, 2),
            (0.6, 0.25, 0.61, 3),
            // -2.4: up to -2 from 0.4 on.
            (-0.6, 0.25, 0.39, -3),
            (-0.6, 0.25, 0.41, -2),
            // Whole numbers stay, whatever is drawn.
            (0.5, 0.25, 0.0, 2),
            (0.5, 0.25, 0.999_999_999, 2),
            (-31.75, 0.25, 0.0, -127),
            (31.75, 0.25, 0.999_999_999, 127),
            (0.0, 0.25, 0.999_999_999, 0),
            (0.0, 0.0, 0.5, 0),
            (f32::NAN, 0.25, 0.0, -128),
            (f32::INFINITY, 0.0, 0.0, -128),
        ];
        for (value, scale, fraction, expected) in cases {
            assert_eq!(level(value, scale, draw(fraction)), expected, "{value} / {scale} + {fraction}");
        }
        assert_eq!(level(f32::MAX, scale(&[f32::MAX]), u32::MAX), 127);
        assert_eq!((value(-3, 0.25), value(127, 2.0), value(5, 0.0)), (-0.75, 254.0, 0.0));
        assert!(value(-128, 0.0).is_nan());
    }

    #[test]
    fn every_tensor_has_its_own_scale_and_every_element_its_own_draw() {
        let values = [127.0, -64.0, 0.0, 0.5, f32::NAN, -0.25, 0.0];
        let mut draws = (0..).map(|index| draw([0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.9][index]));
        let (scales, levels) = encode(&values, [4, 0, 2, 1].into_iter(), &mut || draws.next().expect("there are seven"));
        assert_eq!(scales[..2], [1.0, 0.0]);
        assert!((scales[2] - 0.25 / 127.0).abs() < 1e-9 && scales[3] == 0.0);
        assert_eq!(levels.iter().map(|level| level.cast_signed()).collect::<Vec<_>>(), [127, -64, 0, 1, -128, -127, 0]);
        let mut sum = [10.0; 7];
        add(&scales, &levels, [4, 0, 2, 1].into_iter(), &mut sum);
        assert_eq!(sum[..4], [137.0, -54.0, 10.0, 11.0]);
        assert!(sum[4].is_nan() && (sum[5] - 9.75).abs() < 1e-6 && sum[6] == 10.0);
    }

    #[test]
    fn the_smallest_numbers_have_a_scale() {
        let smallest = f32::from_bits(1);
        assert_eq!(scale(&[0.0, -smallest]), smallest);
        assert_eq!(scale(&[190.0 * smallest]), 2.0 * smallest);
        assert_eq!(level(190.0 * smallest, 2.0 * smallest, u32::MAX), 95);
        assert_eq!(scale(&[]), 0.0);
    }

    proptest! {
        #[test]
        fn no_level_is_beyond_127_and_none_is_a_scale_away(
            values in proptest::collection::vec(-1.0_f32..1.0, 1..20),
            exponent in -130_i32..100,
            random in any::<u32>(),
        ) {
            let values: Vec<f32> = values.iter().map(|value| value * 2_f32.powi(exponent)).collect();
            let (scales, levels) = encode(&values, [values.len()].into_iter(), &mut || random);
            for (value, level) in values.iter().zip(levels) {
                let level = level.cast_signed();
                prop_assert_ne!(level, NOT_FINITE);
                let error = (f64::from(level) * f64::from(scales[0]) - f64::from(*value)).abs();
                prop_assert!(error <= f64::from(scales[0]), "{value} became {level} of {}", scales[0]);
            }
        }
    }
}
