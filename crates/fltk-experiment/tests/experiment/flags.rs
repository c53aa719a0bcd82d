//! Blocks of an experiment as values on the command line.

use fltk_catalogue::catalogues;
use fltk_core::catalogue::Choice;
use fltk_experiment::{Report, parse_optimizer, parse_partition, parse_strategy};

#[test]
fn flags_read_blocks_like_files() {
    let check = |text: &str, expected: Choice| assert_eq!(parse_partition(text, catalogues()), Ok(settled(expected)), "{text}");
    check("{type: n_labels, n: 2}", Choice::new("n_labels").with("n", 2));
    check(r#"{"type":"dirichlet","alpha":0.5}"#, Choice::new("dirichlet").with("alpha", 0.5).with("min_samples", 1));
    check("{type: quantity_skew, skew: {law: square}}", Choice::new("quantity_skew").with("skew", Choice::law("square")));
    let sgd = parse_optimizer(r#"{"type":"SGD","learning_rate":0.05,"momentum":0.9}"#, catalogues());
    let expected = Choice::new("SGD").with("learning_rate", 0.05).with("momentum", 0.9).with("weight_decay", 0.0).with("nesterov", false);
    assert_eq!(sgd, Ok(expected));
}

/// Returns the partition with a value for every parameter.
fn settled(partition: Choice) -> Choice {
    catalogues().partitioners.settle(partition).expect("a partition of the catalogue")
}

#[test]
fn misspelled_flags_are_explained() {
    let check = |report: Result<Choice, Report>, expected: &[&str]| {
        let said = report.expect_err(expected[0]).render(false);
        assert!(expected.iter().all(|words| said.contains(words)), "{expected:?}\n{said}");
    };
    check(parse_partition("{type: dirichlett, alpha: 0.5}", catalogues()), &["--partition:1:8", "did you mean `dirichlet`"]);
    check(parse_partition("{type: dirichlet, alpha: 0}", catalogues()), &["--partition:1:26", "`alpha` must be at least 0.001, not `0`"]);
    check(parse_optimizer("{type: SGD}", catalogues()), &["--optimizer:1:1", "learning_rate"]);
    let strategy = |text| parse_strategy(text, "case.json: strategy", catalogues());
    check(strategy(r#"{"type":"FedAvgM","momentun":0.5}"#), &["case.json: strategy:1:19", "did you mean `momentum`"]);
    check(strategy(r#"{"type":"FedAvgM","momentum":1}"#), &["case.json: strategy:1:30", "below 1"]);
    // Two settings that are wrong only together.
    let nesterov = "{type: SGD, learning_rate: 1, nesterov: true}";
    check(parse_optimizer(nesterov, catalogues()), &["--optimizer:1:41", "needs a `momentum` above 0", "hint: "]);
}
