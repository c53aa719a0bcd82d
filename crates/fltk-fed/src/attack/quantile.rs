//! Quantiles of the standard normal distribution.

/// The largest quantile that is looked for; probabilities above 1 - 1e-15 have it.
const Z_MAX: f64 = 8.0;

/// Returns the number below which a standard normal variable is with `probability`, from 0.5 on: `z` with `Phi(z) = probability`, exact to about
/// 1e-13. By bisection, as it is needed once a round.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, Z_MAX);
    // Each step halves the interval: 60 of them reach the spacing of floats.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_cdf(middle) < probability { low = middle } else { high = middle }
    }
    low
}

/// Returns the probability that a standard normal variable is below `z`, from 0 to [`Z_MAX`]:
/// `Phi(z) = 1/2 + phi(z) (z + z^3/3 + z^5/(3*5) + ...)` (Abramowitz and Stegun 26.2.11).
fn normal_cdf(z: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (z, z, 1.0);
    while term > sum * f64::EPSILON {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    0.5 + (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_python() {
        // statistics.NormalDist().inv_cdf(p)
        let check = |probability: f64, expected: f64| {
            let found = normal_quantile(probability);
            assert!((found - expected).abs() < 1e-12, "{probability}: {found}, not {expected}");
        };
        check(0.5, 0.0);
        check(0.6, 0.253_347_103_135_799_8);
        check(24.0 / 26.0, 1.426_076_872_272_847_9);
        check(0.975, 1.959_963_984_540_053_6);
        check(0.9999, 3.719_016_485_455_708_4);
        assert!(normal_quantile(1.0) > 7.9);
    }
}
