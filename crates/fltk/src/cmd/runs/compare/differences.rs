//! The differences between groups, for people: the settings in which they differ, and the tests of their figures.

use fltk_records::{
    Hyperparameter,
    compare::{Comparison, Factor, GROUPS_TESTED_MAX, Reason, Test, Untested},
};

use super::group_name;
use crate::output;

/// The limit on settings that are printed: `--output json` has all.
const FACTORS_MAX: usize = 20;
/// The limit on characters of a value that is printed; of a longer one, such as a digest, the beginning is.
const VALUE_CHARS_MAX: usize = 60;
/// The meaning of the columns of a table of tests.
pub(in crate::cmd) const EXPLANATION: &str = "p is how probable a difference at least as large is if there is none. Holm's p allows for the number of tests of a figure: below 0.05\n\
     a difference is usually called significant. No difference shown doesn't mean that there is none.";
/// The p below which a difference is usually called significant.
const LEVEL: f64 = 0.05;

/// Returns a table of the settings in which groups differ; `None` if they don't.
pub(super) fn factors(comparison: &Comparison) -> Option<String> {
    if comparison.factors.is_empty() {
        return None;
    }
    let mut table = output::table(&["setting", "value (groups)"], &[]);
    for factor in comparison.factors.iter().take(FACTORS_MAX) {
        table.add_row([factor.setting.clone(), values(factor)]);
    }
    let more = comparison.factors.len().saturating_sub(FACTORS_MAX);
    let more = if more > 0 { format!("\n{} more in `--output json`", output::counted(more, "setting")) } else { String::new() };
    Some(format!("{table}{more}"))
}

/// Returns the values of a setting, each with the groups that have it: `FedAvg (1), FedProx (2 3)`.
pub(in crate::cmd) fn values(factor: &Factor) -> String {
    let mut of_value: Vec<(&Option<Hyperparameter>, Vec<String>)> = Vec::new();
    for (group, value) in factor.values.iter().enumerate() {
        match of_value.iter_mut().find(|(other, _)| *other == value) {
            Some((_, groups)) => groups.push(group_name(group)),
            None => of_value.push((value, vec![group_name(group)])),
        }
    }
    of_value.iter().map(|(value, groups)| format!("{} ({})", shown(value.as_ref()), groups.join(" "))).collect::<Vec<_>>().join(", ")
}

fn shown(value: Option<&Hyperparameter>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Hyperparameter::Bool(value)) => value.to_string(),
        Some(Hyperparameter::Number(value)) => value.to_string(),
        Some(Hyperparameter::Text(text)) if text.chars().count() > VALUE_CHARS_MAX => {
            format!("{}...", text.chars().take(VALUE_CHARS_MAX).collect::<String>())
        }
        Some(Hyperparameter::Text(text)) => text.clone(),
    }
}

/// Returns a table of the tests, and what wasn't tested; `None` if there is a single group.
pub(super) fn tests(comparison: &Comparison) -> Option<String> {
    let table = (!comparison.tests.is_empty()).then(|| tests_table(&comparison.tests));
    let notes = notes(comparison);
    let parts: Vec<String> = table.into_iter().chain(notes).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn tests_table(tests: &[Test]) -> String {
    let header = ["groups", "figure", "difference", "95 %", "p", "Holm's p", "test", "result"];
    let mut table = output::table(&header, &[2, 3, 4, 5]);
    for test in tests {
        let [low, high] = test.interval;
        table.add_row([
            format!("{} - {}", group_name(test.a), group_name(test.b)),
            test.figure.name().to_owned(),
            format!("{:+.4}", test.difference),
            format!("{low:+.4} to {high:+.4}"),
            probability(test.p),
            probability(test.p_holm),
            format!("{}, {:.1} df", test.method.name(), test.df),
            result(test),
        ]);
    }
    format!("{table}\n{EXPLANATION}")
}

/// Returns what a test says, in words.
pub(in crate::cmd) fn result(test: &Test) -> String {
    if test.p_holm >= LEVEL {
        return "no difference shown".to_owned();
    }
    let (higher, lower) = if test.difference > 0.0 { (test.a, test.b) } else { (test.b, test.a) };
    format!("{} of {} is higher than of {}", test.figure.name(), group_name(higher), group_name(lower))
}

/// Formats a probability with what of it can be trusted.
pub(in crate::cmd) fn probability(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// Returns the lines about pairs that weren't tested.
pub(in crate::cmd) fn notes(comparison: &Comparison) -> Vec<String> {
    let pairs_of = |reason: Reason| {
        let mut pairs: Vec<(usize, usize)> =
            comparison.untested.iter().filter(|pair| pair.reason == reason).map(|pair| (pair.a, pair.b)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    };
    let mut notes = Vec::new();
    let alone = pairs_of(Reason::OneValue);
    if !alone.is_empty() {
        notes.push(format!("{} not tested: each group needs two seeds that finished", are(alone.len())));
    }
    let constant: Vec<&Untested> = comparison.untested.iter().filter(|pair| pair.reason == Reason::NoSpread).collect();
    for pair in constant {
        let (a, b) = (group_name(pair.a), group_name(pair.b));
        notes.push(format!(
            "{} of {a} and {b} is not tested: it doesn't vary between seeds, or their difference doesn't",
            pair.figure.name()
        ));
    }
    if comparison.pairs_left_out > 0 {
        let left_out = are(comparison.pairs_left_out);
        notes.push(format!("{left_out} not tested: only those of the first {GROUPS_TESTED_MAX} groups are. Name fewer runs"));
    }
    notes
}

fn are(pairs: usize) -> String {
    format!("{} of groups {}", output::counted(pairs, "pair"), if pairs == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use fltk_records::compare::{Figure, Method};

    use super::*;

    fn comparison() -> Comparison {
        Comparison {
            runs: Vec::new(),
            groups: Vec::new(),
            factors: Vec::new(),
            tests: Vec::new(),
            untested: Vec::new(),
            pairs_left_out: 0,
            steps: Vec::new(),
            times: Vec::new(),
        }
    }

    #[test]
    fn settings_are_told_once_for_all_groups_that_have_them() {
        assert_eq!(factors(&comparison()), None);
        let text = |text: &str| Some(Hyperparameter::Text(text.to_owned()));
        let of = |values: Vec<Option<Hyperparameter>>| values_of(values);
        assert_eq!(of(vec![text("FedAvg"), text("FedProx"), text("FedProx"), None]), "FedAvg (1), FedProx (2 3), - (4)");
        assert_eq!(of(vec![Some(Hyperparameter::Number(0.1)), Some(Hyperparameter::Number(10.0))]), "0.1 (1), 10 (2)");
        assert_eq!(of(vec![text(&"é".repeat(61)), None]), format!("{}... (1), - (2)", "é".repeat(60)));
        let many = (0..22).map(|index| Factor { setting: format!("s{index}"), values: vec![text("a"), text("b")] }).collect();
        let table = factors(&Comparison { factors: many, ..comparison() }).unwrap();
        assert!(table.contains("s19") && !table.contains("s20") && table.ends_with("\n2 settings more in `--output json`"), "{table}");
    }

    fn values_of(values: Vec<Option<Hyperparameter>>) -> String {
        super::values(&Factor { setting: "s".to_owned(), values })
    }

    #[test]
    fn results_of_tests_are_words() {
        let test = |difference, p_holm| Test {
            a: 0,
            b: 1,
            figure: Figure::Loss,
            method: Method::Paired,
            count: [3, 3],
            difference,
            interval: [difference - 0.1, difference + 0.1],
            t: 1.0,
            df: 2.0,
            p: p_holm / 2.0,
            p_holm,
        };
        assert_eq!(result(&test(0.5, 0.01)), "loss of 1 is higher than of 2");
        assert_eq!(result(&test(-0.5, 0.049)), "loss of 2 is higher than of 1");
        assert_eq!(result(&test(-0.5, 0.05)), "no difference shown");
        let all = Comparison { tests: vec![test(-0.5, 0.00001)], ..comparison() };
        let table = tests(&all).unwrap();
        for words in ["1 - 2", "-0.5000", "-0.6000 to -0.4000", "< 0.0001", "paired t, 2.0 df"] {
            assert!(table.contains(words), "no `{words}` in {table}");
        }
        assert_eq!(tests(&comparison()), None);
    }

    #[test]
    fn what_is_not_tested_is_said() {
        let pair = |a, b, figure, reason| Untested { a, b, figure, reason };
        let untested = vec![
            pair(0, 1, Figure::Accuracy, Reason::OneValue),
            pair(0, 1, Figure::Loss, Reason::OneValue),
            pair(0, 2, Figure::Accuracy, Reason::NoSpread),
        ];
        let said = tests(&Comparison { untested, pairs_left_out: 41, ..comparison() }).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "1 pair of groups is not tested: each group needs two seeds that finished",
                "accuracy of 1 and 3 is not tested: it doesn't vary between seeds, or their difference doesn't",
                "41 pairs of groups are not tested: only those of the first 20 groups are. Name fewer runs",
            ]
        );
    }
}
