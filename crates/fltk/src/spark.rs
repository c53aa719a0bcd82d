//! A curve as a line of text: one character for each stretch of it, whose height is its value.

/// The characters by height, from the lowest.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same where only ASCII can be shown.
const PLAIN: [char; 8] = ['_', '.', ',', '-', '~', '=', '+', '#'];

/// The range of all curves, from the lowest character to the highest.
pub const RANGE: (char, char) = (BLOCKS[0], BLOCKS[7]);

/// Draws `values` with at most `chars_max` characters, scaled to their own range. Values that aren't finite are left out; without any the text is empty.
#[must_use]
pub fn line(values: &[f64], chars_max: usize, is_unicode: bool) -> String {
    let finite = values.iter().filter(|value| value.is_finite());
    let range = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    within(values, range, chars_max, is_unicode)
}

/// Draws `values` like [`line`], scaled to the range from `low` to `high`, so that several curves can be compared.
#[must_use]
pub fn within(values: &[f64], (low, high): (f64, f64), chars_max: usize, is_unicode: bool) -> String {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let chars = if is_unicode { BLOCKS } else { PLAIN };
    let width = values.len().min(chars_max);
    let character = |at: usize| {
        // The mean of a stretch, so that one outlier doesn't stand for it.
        let (from, to) = (at * values.len() / width, (at + 1) * values.len() / width);
        let stretch = &values[from..to];
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let mean = stretch.iter().sum::<f64>() / stretch.len() as f64;
        let height = if high > low { ((mean - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 0 to 7")]
        let step = (height * 7.0).round() as usize;
        chars[step.min(7)]
    };
    (0..width).map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_scaled_to_the_range() {
        let check = |values: &[f64], chars_max: usize, expected: &str| assert_eq!(line(values, chars_max, true), expected, "{values:?}");
        check(&[], 12, "");
        check(&[0.5], 12, "▅");
        check(&[0.0, 0.5, 1.0], 12, "▁▅█");
        check(&[3.0, 2.0, 1.0, f64::NAN], 12, "█▅▁");
        check(&[0.2, 0.2], 12, "▅▅");
        check(&[f64::INFINITY], 12, "");
        let rising: Vec<f64> = (0..40).map(f64::from).collect();
        check(&rising, 8, "▁▂▃▄▅▆▇█");
        check(&rising, 0, "");
        assert_eq!(line(&rising, 8, false), "_.,-~=+#");
    }

    #[test]
    fn curves_of_one_range_can_be_compared() {
        let curve: Vec<f64> = (0..100).map(f64::from).collect();
        let drawn = within(&curve, (0.0, 99.0), 40, true);
        assert_eq!((drawn.chars().count(), drawn.chars().next(), drawn.chars().last()), (40, Some('▁'), Some('█')));
        assert_eq!(within(&curve[..1], (0.0, 99.0), 40, true), "▁");
        assert_eq!(within(&curve[98..], (0.0, 99.0), 40, true), "██");
        assert_eq!(within(&[-1.0, 200.0], (0.0, 99.0), 40, true), "▁█");
        assert_eq!(within(&[], (0.0, 1.0), 40, true), "");
    }
}
