//! Compares means, intervals, tests and Holm's correction with those of SciPy and statsmodels, of runs that are written and read again.
//! `golden/make_statistics.py` makes the numbers.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../src/samples.rs"]
mod samples;

use std::{collections::BTreeMap, path::Path};

use fltk_records::{
    Hyperparameter, RunDescription, RunFolder, RunRecorder, RunRef,
    compare::{Comparison, MeanStd, Test, compare},
};
use samples::{at, description, exp, finished, round, started};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    scipy: String,
    statsmodels: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Final accuracies by seed.
    groups: Vec<BTreeMap<u64, f64>>,
    means: Vec<Option<Mean>>,
    tests: Vec<Expected>,
}

#[derive(Deserialize)]
struct Mean {
    mean: f64,
    std: f64,
    interval: [f64; 2],
}

#[derive(Debug, Deserialize)]
struct Expected {
    a: usize,
    b: usize,
    figure: String,
    method: String,
    count: [usize; 2],
    difference: f64,
    interval: [f64; 2],
    t: f64,
    df: f64,
    p: f64,
    p_holm: f64,
}

#[test]
fn means_and_tests_are_those_of_scipy() {
    let golden: Golden = serde_json::from_str(include_str!("golden/statistics.json")).unwrap();
    assert_eq!((golden.scipy.as_str(), golden.statsmodels.as_str(), golden.cases.len()), ("1.17.1", "0.15.0", 6));
    for case in &golden.cases {
        let root = tempfile::tempdir().unwrap();
        let comparison =
            compare(&case.groups.iter().enumerate().flat_map(|(group, seeds)| read(root.path(), group, seeds)).collect::<Vec<_>>());
        check_means(case, &comparison);
        assert_eq!(comparison.tests.len(), case.tests.len(), "{}", case.name);
        for (found, expected) in comparison.tests.iter().zip(&case.tests) {
            check_test(&case.name, found, expected);
        }
    }
}

/// Writes and reads the runs of a group, whose number of rounds sets it apart.
fn read(root: &Path, group: usize, seeds: &BTreeMap<u64, f64>) -> Vec<RunRef> {
    let read = |(seed, accuracy): (&u64, &f64)| {
        let mut of_group: RunDescription = description(*seed);
        of_group.hyperparameters.0.insert("federated.rounds".into(), Hyperparameter::Number(10.0 + group as f64));
        let folder = RunFolder::create(root, &exp(), at(0), &format!("{group:04x}{seed:04x}"), "name: exp\n", &of_group).unwrap();
        let (mut recorder, _) = RunRecorder::open(folder.clone(), "a test").unwrap();
        [started(0), round(1, *accuracy), finished()].iter().for_each(|event| recorder.record(event, at(1)).unwrap());
        folder.read().unwrap()
    };
    seeds.iter().map(read).collect()
}

fn check_means(case: &Case, comparison: &Comparison) {
    for (group, expected) in comparison.groups.iter().zip(&case.means) {
        let MeanStd { mean, std, interval, .. } = group.accuracy.unwrap();
        let Some(expected) = expected else {
            assert_eq!((std, interval), (None, None), "{}", case.name);
            continue;
        };
        let [low, high] = interval.unwrap();
        for (found, expected) in
            [(mean, expected.mean), (std.unwrap(), expected.std), (low, expected.interval[0]), (high, expected.interval[1])]
        {
            assert_close(found, expected, &case.name);
        }
    }
}

fn check_test(case: &str, found: &Test, expected: &Expected) {
    assert_eq!((found.a, found.b, found.count), (expected.a, expected.b, expected.count), "{case}");
    assert_eq!((found.figure.name(), found.method.name()), (expected.figure.as_str(), expected.method.as_str()), "{case}");
    let pairs = [
        (found.difference, expected.difference),
        (found.interval[0], expected.interval[0]),
        (found.interval[1], expected.interval[1]),
        (found.t, expected.t),
        (found.df, expected.df),
        (found.p, expected.p),
        (found.p_holm, expected.p_holm),
    ];
    for (ours, theirs) in pairs {
        assert_close(ours, theirs, &format!("{case}: {found:?}, {expected:?}"));
    }
}

/// Requires nine digits, of a p of 1e-80 too.
fn assert_close(found: f64, expected: f64, case: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found:e} in place of {expected:e}: {case}");
}
