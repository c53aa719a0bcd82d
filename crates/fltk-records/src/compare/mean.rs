//! The mean of a figure over seeds, with its spread and its interval.

use serde::Serialize;

use super::student;

/// A mean and the spread around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanStd {
    /// The number of values; at least 1.
    pub count: usize,
    /// The mean of the values.
    pub mean: f64,
    /// The sample standard deviation (over `count - 1`); absent for a single value.
    pub std: Option<f64>,
    /// The two ends of the interval that contains the true mean with a confidence of 95 %, by Student's t, if the values are normally distributed; absent
    /// for a single value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

impl MeanStd {
    /// Computes mean, deviation and interval of these numbers; `None` if there are none.
    #[must_use]
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let (mean, variance) = moments(numbers)?;
        let count = numbers.len();
        let std = variance.map(f64::sqrt);
        let interval = variance.and_then(|variance| {
            let degrees = as_f64(count - 1);
            student::around(mean, (variance / as_f64(count)).sqrt(), degrees)
        });
        Some(Self { count, mean, std, interval })
    }
}

/// Returns the mean and the sample variance of these numbers; no mean without numbers, and no variance of a single one.
pub(super) fn moments(numbers: &[f64]) -> Option<(f64, Option<f64>)> {
    let count = numbers.len();
    if count == 0 {
        return None;
    }
    let mean = numbers.iter().sum::<f64>() / as_f64(count);
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    Some((mean, (count > 1).then(|| squares / as_f64(count - 1))))
}

/// Returns a number of values as a real number.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 numbers")]
pub(super) const fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_sample_deviation_are_computed() {
        let check = |numbers: &[f64], expected: Option<(f64, Option<f64>)>| {
            assert_eq!(MeanStd::of(numbers).map(|of| (of.mean, of.std)), expected);
        };
        check(&[], None);
        check(&[0.5], Some((0.5, None)));
        check(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], Some((5.0, Some((32.0f64 / 7.0).sqrt()))));
    }

    #[test]
    fn one_value_has_no_interval_and_equal_ones_an_empty_one() {
        assert_eq!(MeanStd::of(&[0.5]).unwrap().interval, None);
        assert_eq!(MeanStd::of(&[0.5; 3]).unwrap().interval, Some([0.5, 0.5]));
        let json = |numbers: &[f64]| serde_json::to_value(MeanStd::of(numbers)).unwrap();
        assert_eq!(json(&[0.5]), serde_json::json!({ "count": 1, "mean": 0.5, "std": null }));
        assert_eq!(json(&[0.5, 0.5]), serde_json::json!({ "count": 2, "mean": 0.5, "std": 0.0, "interval": [0.5, 0.5] }));
    }
}
