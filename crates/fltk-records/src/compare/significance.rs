//! Tests of the differences between groups: whether their final figures differ by more than seeds do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Group,
    groups::finished,
    holm,
    mean::{as_f64, moments},
    student,
};
use crate::summary::RunSummary;

/// The limit on groups of which every pair is tested: 190 pairs. With more, a difference would have to be enormous to remain after the correction, and nobody reads the table.
pub const GROUPS_TESTED_MAX: usize = 20;

/// A final figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Test accuracy.
    Accuracy,
    /// Test loss.
    Loss,
}

impl Figure {
    /// All figures that are tested.
    const ALL: [Self; 2] = [Self::Accuracy, Self::Loss];

    /// Returns the name in lower case, as in tables and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Loss => "loss",
        }
    }

    const fn of(self, run: &RunSummary) -> Option<f64> {
        match self {
            Self::Accuracy => run.accuracy,
            Self::Loss => run.loss,
        }
    }
}

/// A test of the hypothesis that two means are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Method {
    /// Student's t of the differences of values with the same seed.
    #[serde(rename = "paired t")]
    Paired,
    /// Welch's t of independent values whose variances may differ, with the degrees of freedom of Welch and Satterthwaite.
    #[serde(rename = "Welch t")]
    Welch,
}

impl Method {
    /// Returns the name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paired => "paired t",
            Self::Welch => "Welch t",
        }
    }
}

/// A tested difference between two groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The first group, as an index into [`Comparison::groups`](super::Comparison::groups).
    pub a: usize,
    /// The second group, after the first.
    pub b: usize,
    /// The figure whose means are compared, over the finished runs that count.
    pub figure: Figure,
    /// The test: paired where both groups have the same seeds.
    pub method: Method,
    /// The number of values of `a` and of `b`.
    pub count: [usize; 2],
    /// The mean of `a` minus the mean of `b`.
    pub difference: f64,
    /// The interval of 95 % of the difference. It isn't corrected for the number of tests.
    pub interval: [f64; 2],
    /// The difference in standard errors.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// The probability of a difference at least as large, in either direction, if there were none.
    pub p: f64,
    /// The same, corrected by Holm's method for the number of tests of this figure.
    pub p_holm: f64,
}

/// A pair of groups with values that were not tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Untested {
    /// The first group, as an index into [`Comparison::groups`](super::Comparison::groups).
    pub a: usize,
    /// The second group, after the first.
    pub b: usize,
    /// The figure.
    pub figure: Figure,
    /// The reason.
    pub reason: Reason,
}

/// The reason why a pair isn't tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A group has a single value, so that nothing is known of its spread.
    OneValue,
    /// The values don't vary beyond rounding, or all pairs differ by the same: t is no number, or infinite.
    NoSpread,
}

/// The tests of all pairs of groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Significance {
    pub tests: Vec<Test>,
    pub untested: Vec<Untested>,
    pub pairs_left_out: usize,
}

/// Tests every pair of the first [`GROUPS_TESTED_MAX`] groups that have values.
pub(super) fn test(groups: &[Group], summaries: &[RunSummary]) -> Significance {
    let with_values: Vec<usize> =
        (0..groups.len()).filter(|group| groups[*group].accuracy.is_some() || groups[*group].loss.is_some()).collect();
    let chosen = &with_values[..with_values.len().min(GROUPS_TESTED_MAX)];
    let mut significance = Significance { pairs_left_out: pairs(with_values.len()) - pairs(chosen.len()), ..Significance::default() };
    for figure in Figure::ALL {
        let values: BTreeMap<usize, BySeed> = chosen.iter().map(|group| (*group, by_seed(&groups[*group], summaries, figure))).collect();
        let mut tests = Vec::new();
        for (&a, of_a) in &values {
            for (&b, of_b) in values.range(a + 1..).filter(|(_, of_b)| !of_a.is_empty() && !of_b.is_empty()) {
                match difference(of_a, of_b) {
                    Ok(found) => tests.push(found.test(a, b, figure, [of_a.len(), of_b.len()])),
                    Err(reason) => significance.untested.push(Untested { a, b, figure, reason }),
                }
            }
        }
        let corrected = holm::correct(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
        tests.iter_mut().zip(corrected).for_each(|(test, p)| test.p_holm = p);
        significance.tests.append(&mut tests);
    }
    significance
}

const fn pairs(count: usize) -> usize {
    count * count.saturating_sub(1) / 2
}

/// Values of a group, by seed.
type BySeed = BTreeMap<u64, f64>;

fn by_seed(group: &Group, summaries: &[RunSummary], figure: Figure) -> BySeed {
    let of_run = |run: usize| Some((summaries[run].seed, figure.of(&summaries[run])?));
    finished(&group.runs, summaries).filter_map(of_run).collect()
}

/// A difference of means and its test.
struct Difference {
    method: Method,
    difference: f64,
    interval: [f64; 2],
    t: f64,
    df: f64,
    p: f64,
}

impl Difference {
    const fn test(self, a: usize, b: usize, figure: Figure, count: [usize; 2]) -> Test {
        let Self { method, difference, interval, t, df, p } = self;
        Test { a, b, figure, method, count, difference, interval, t, df, p, p_holm: p }
    }

    fn of(method: Method, difference: f64, standard_error: f64, df: f64) -> Option<Self> {
        let t = difference / standard_error;
        Some(Self {
            method,
            difference,
            interval: student::around(difference, standard_error, df)?,
            t,
            df,
            p: student::two_sided_p(t, df)?,
        })
    }
}

/// Tests the difference between two groups' values: paired if they have the same seeds, otherwise Welch's.
///
/// Where nothing varies SciPy has t = 0/0 without a p, or, if the means differ, an infinite t with a p of 0. Neither is a finding: figures that are
/// the same for every seed say only that seeds change nothing in them. So there is no test then.
fn difference(a: &BySeed, b: &BySeed) -> Result<Difference, Reason> {
    if a.len() < 2 || b.len() < 2 {
        return Err(Reason::OneValue);
    }
    let largest = a.values().chain(b.values()).fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let found = if a.keys().eq(b.keys()) { paired(a, b, largest) } else { welch(a, b, largest) };
    found.ok_or(Reason::NoSpread)
}

fn paired(a: &BySeed, b: &BySeed, largest: f64) -> Option<Difference> {
    let differences: Vec<f64> = a.values().zip(b.values()).map(|(a, b)| a - b).collect();
    let (mean, variance) = moments(&differences)?;
    let count = as_f64(differences.len());
    let standard_error = spread(variance?, largest)? / count.sqrt();
    Difference::of(Method::Paired, mean, standard_error, count - 1.0)
}

/// Tests means of independent values with unequal variances (Welch 1947, The Generalization of "Student's" Problem when Several Different Population Variances are Involved;
/// Satterthwaite 1946, An Approximate Distribution of Estimates of Variance Components).
fn welch(a: &BySeed, b: &BySeed, largest: f64) -> Option<Difference> {
    let of_mean = |values: &BySeed| {
        let (mean, variance) = moments(&values.values().copied().collect::<Vec<_>>())?;
        Some((mean, variance? / as_f64(values.len()), as_f64(values.len() - 1)))
    };
    let ((mean_a, squared_a, degrees_a), (mean_b, squared_b, degrees_b)) = (of_mean(a)?, of_mean(b)?);
    let standard_error = spread(squared_a + squared_b, largest)?;
    // As shares of the sum, so that squares of small variances are not rounded to 0.
    let (share_a, share_b) = (squared_a / (squared_a + squared_b), squared_b / (squared_a + squared_b));
    let df = 1.0 / (share_a * share_a / degrees_a + share_b * share_b / degrees_b);
    Difference::of(Method::Welch, mean_a - mean_b, standard_error, df)
}

/// Returns the root of a variance, unless it is no more than the rounding of values of this size.
fn spread(variance: f64, largest: f64) -> Option<f64> {
    let std = variance.sqrt();
    // The roundings of a mean and of the subtraction from it.
    (std > 10.0 * f64::EPSILON * largest).then_some(std)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(first: u64, values: &[f64]) -> BySeed {
        (first..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn same_seeds_are_paired() {
        let (a, b) = ([0.81, 0.79, 0.83], [0.80, 0.77, 0.80]);
        let found = difference(&seeds(1, &a), &seeds(1, &b)).ok().unwrap();
        assert_eq!((found.method, found.df), (Method::Paired, 2.0));
        // Differences 1, 2 and 3 hundredths: mean 2, deviation 1, so t is 2 * sqrt(3).
        assert!((found.difference - 0.02).abs() < 1e-12 && (found.t - 12.0f64.sqrt()).abs() < 1e-9, "{}", found.t);
        // Other seeds, or one more, are independent values.
        for other in [seeds(2, &b), seeds(1, &[0.80, 0.77, 0.80, 0.81])] {
            assert_eq!(difference(&seeds(1, &a), &other).ok().unwrap().method, Method::Welch);
        }
    }

    #[test]
    fn what_does_not_vary_is_not_tested() {
        let check = |a: &[f64], first: u64, b: &[f64], expected: Option<Reason>| {
            assert_eq!(difference(&seeds(1, a), &seeds(first, b)).err(), expected, "{a:?} {b:?}");
        };
        // Identical runs, and runs that differ by the same amount for each seed, rounded or not.
        check(&[0.5, 0.6], 1, &[0.5, 0.6], Some(Reason::NoSpread));
        check(&[0.5, 0.6, 0.7], 1, &[0.4, 0.5, 0.6], Some(Reason::NoSpread));
        check(&[0.0, 0.0], 1, &[0.0, 0.0], Some(Reason::NoSpread));
        // Other seeds of constant figures.
        check(&[0.5, 0.5], 3, &[0.5, 0.5], Some(Reason::NoSpread));
        check(&[0.1, 0.1, 0.1], 4, &[0.2, 0.2, 0.2], Some(Reason::NoSpread));
        check(&[0.5], 1, &[0.5, 0.6], Some(Reason::OneValue));
        check(&[0.5], 1, &[0.6], Some(Reason::OneValue));
        // One constant group is enough for Welch's test: the other has a spread.
        check(&[0.5, 0.5], 3, &[0.5, 0.6], None);
    }
}
