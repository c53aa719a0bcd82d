//! The course of a run's test accuracy, small enough for a listing of thousands of runs.

use serde::{Deserialize, Serialize};

use super::finite;
use crate::history::Row;

/// The limit on the points of a curve: as many as a line of a table can show.
pub const POINTS_MAX: usize = 40;

/// The limit on the points of a sketch.
const SKETCHED_MAX: usize = 24;

/// The figure that a curve shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveFigure {
    /// Test accuracy, `0..=1`.
    Accuracy,
    /// Test loss, mean per prediction, of a run without any accuracy.
    Loss,
}

/// A figure by round or epoch: at most [`POINTS_MAX`] points, evenly spaced among those that were measured, the first and the last included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The figure.
    pub figure: CurveFigure,
    /// Rounds or epochs, ascending, each with the figure, which is finite, in five significant digits.
    pub points: Vec<(u32, f64)>,
}

impl Curve {
    /// Returns the curve through `rows`; `None` if neither accuracy nor loss was measured.
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Option<Self> {
        let measured = |figure, of: fn(&Row) -> Option<f64>| {
            let points: Vec<_> = rows.clone().filter_map(|row| Some((row.step, finite(of(row)?)?))).collect();
            let points = thinned(&points, POINTS_MAX).into_iter().map(|(step, value)| (step, rounded(value))).collect();
            Some(Self { figure, points }).filter(|curve| !curve.points.is_empty())
        };
        measured(CurveFigure::Accuracy, Row::accuracy).or_else(|| measured(CurveFigure::Loss, Row::loss))
    }

    /// Returns the curve as it is drawn in a line of a table: at most 24 points, the first and the last included, with as many decimals as a line of two hundred
    /// pixels could show.
    #[must_use]
    pub fn sketch(&self) -> Self {
        let mut points = thinned(&self.points, SKETCHED_MAX);
        let values = || points.iter().map(|(_, value)| *value);
        let pixel = (values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min)) / 200.0;
        let decimals = (-pixel.log10()).ceil();
        if (0.0..=12.0).contains(&decimals) {
            points.iter_mut().for_each(|(_, value)| *value = with_decimals(*value, decimals as usize));
        }
        Self { figure: self.figure, points }
    }
}

fn with_decimals(value: f64, decimals: usize) -> f64 {
    format!("{value:.decimals$}").parse().unwrap_or(value)
}

/// Returns a figure with five significant digits, more than a small curve shows: a third of what all digits of thousands of curves would take.
fn rounded(value: f64) -> f64 {
    // The largest numbers would be rounded to infinity.
    format!("{value:.4e}").parse().ok().filter(|rounded: &f64| rounded.is_finite()).unwrap_or(value)
}

/// Returns at most `max` of `points`, evenly spaced by index.
fn thinned(points: &[(u32, f64)], max: usize) -> Vec<(u32, f64)> {
    if points.len() <= max {
        return points.to_vec();
    }
    let last = points.len() - 1;
    (0..max).map(|index| points[index * last / (max - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use fltk_core::event::RunEvent;

    use super::*;
    use crate::{
        samples::{recorded, round, started},
        summary::RunSummary,
    };

    fn curve(accuracies: &[f64]) -> Option<Curve> {
        let root = tempfile::tempdir().unwrap();
        let rounds = (0..).zip(accuracies).map(|(step, accuracy)| round(step, *accuracy));
        let events: Vec<RunEvent> = std::iter::once(started(0)).chain(rounds).collect();
        RunSummary::of(&recorded(root.path(), 1, &events).read().unwrap()).curve
    }

    #[test]
    fn finite_accuracies_are_points() {
        let check = |accuracies: &[f64], expected: &[(u32, f64)]| {
            let curve = curve(accuracies).unwrap();
            assert_eq!((curve.figure, curve.points.as_slice()), (CurveFigure::Accuracy, expected));
        };
        check(&[0.5], &[(0, 0.5)]);
        check(&[f64::MAX, f64::MIN_POSITIVE], &[(0, f64::MAX), (1, 2.2251e-308)]);
        check(&[1.0 / 3.0, 2e-5 / 3.0, -200.0 / 3.0], &[(0, 0.33333), (1, 6.6667e-6), (2, -66.667)]);
        check(&[0.1, f64::NAN, 0.3], &[(0, 0.1), (2, 0.3)]);
        check(&[0.1, 0.2, f64::INFINITY], &[(0, 0.1), (1, 0.2)]);
        assert_eq!((curve(&[]), curve(&[f64::NAN])), (None, None));
    }

    #[test]
    fn sketches_have_fewer_points_and_digits() {
        let accuracies: Vec<f64> = (0..70).map(|step| 0.123456 + f64::from(step) / 1000.0).collect();
        let sketch = curve(&accuracies).unwrap().sketch();
        assert_eq!((sketch.figure, sketch.points.len()), (CurveFigure::Accuracy, SKETCHED_MAX));
        assert_eq!((sketch.points[0], sketch.points[SKETCHED_MAX - 1]), ((0, 0.1235), (69, 0.1925)));
        let check = |accuracies: &[f64], expected: &[(u32, f64)]| assert_eq!(curve(accuracies).unwrap().sketch().points, expected);
        check(&[0.1, 0.912345], &[(0, 0.1), (1, 0.912)]);
        // A narrow curve keeps its shape, and what can't be rounded stays.
        check(&[0.9951, 0.9957, 0.9964], &[(0, 0.9951), (1, 0.9957), (2, 0.9964)]);
        check(&[0.98765], &[(0, 0.98765)]);
        check(&[1e300, 2e300], &[(0, 1e300), (1, 2e300)]);
    }

    #[test]
    fn long_curves_are_thinned_evenly_and_keep_both_ends() {
        for length in [39_u32, 40, 41, 79, 100, 1000] {
            let points: Vec<_> = (0..length).map(|step| (step, 0.5)).collect();
            let thinned = thinned(&points, POINTS_MAX);
            assert_eq!(thinned.len(), POINTS_MAX.min(length as usize), "{length}");
            assert_eq!((thinned.first(), thinned.last()), (points.first(), points.last()), "{length}");
            let gaps: Vec<u32> = thinned.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
            let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
            assert!(*least > 0 && most - least <= 1, "{length}: {gaps:?}");
        }
    }

    #[test]
    fn runs_without_accuracy_have_a_curve_of_the_loss() {
        let root = tempfile::tempdir().unwrap();
        let reported = |step, name: &str, value| RunEvent::Reported {
            unit: fltk_core::report::StepUnit::Epoch,
            step,
            figures: [(name.to_owned(), value)].into(),
        };
        let of = |seed, events: &[RunEvent]| RunSummary::of(&recorded(root.path(), seed, events).read().unwrap()).curve;
        let curve = of(1, &[started(0), reported(1, "loss", 2.0), reported(2, "loss", 1.0)]).unwrap();
        assert_eq!((curve.figure, curve.points), (CurveFigure::Loss, vec![(1, 2.0), (2, 1.0)]));
        assert_eq!(of(2, &[started(0), reported(1, "perplexity", 2.0)]), None);
        let json = serde_json::to_value(of(3, &[started(0), reported(1, "accuracy", 0.25)])).unwrap();
        assert_eq!(json, serde_json::json!({ "figure": "accuracy", "points": [[1, 0.25]] }));
    }
}
