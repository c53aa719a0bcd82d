//! Products of decimal numbers, which floating point computes a little off.

/// Returns the product of a count and a decimal number, rounded to millionths: 100 times 0.29 is 29 and not 28.999999999999996, before it is
/// rounded to a whole number in whatever direction.
#[must_use]
pub fn product(count: f64, decimal: f64) -> f64 {
    const PER_UNIT: f64 = 1e6;
    (count * decimal * PER_UNIT).round() / PER_UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_decimals_are_whole_where_they_should_be() {
        for (count, decimal, expected) in
            [(100.0, 0.29, 29.0), (100.0, 0.57, 57.0), (100.0, 0.07, 7.0), (50.0, 0.29, 14.5), (3.0, 0.25, 0.75)]
        {
            assert_eq!(product(count, decimal).to_bits(), f64::to_bits(expected), "{count} times {decimal}");
        }
    }
}
