//! Warnings about strategies that run, and probably don't do what their user expects.

use fltk_catalogue::catalogues;
use fltk_experiment::{SourceFile, parse};

/// Returns the warnings for a task with `train` settings, a strategy and, unless it's 0, an attack by that fraction.
fn warnings(train: &str, strategy: &str, fraction: f64) -> String {
    let attack =
        if fraction > 0.0 { format!(", faults: {{ attack: {{ type: sign_flip, fraction: {fraction} }} }}") } else { String::new() };
    let text = format!(
        "name: a\ntasks:\n  - kind: federated\n    network: LeNet5\n    dataset: mnist\n    train: {{ {train} }}\n    federated:\n      \
         {{ clients: 20, clients_per_round: 10, rounds: 5, strategy: {{ type: {strategy} }}{attack} }}\n"
    );
    let parsed = parse(&[SourceFile { name: "a.yaml".into(), text }], &[], catalogues());
    parsed.unwrap_or_else(|report| panic!("{report}")).warnings.render(false)
}

#[test]
fn fair_averages_of_clients_with_momentum_are_doubtful() {
    let check = |train: &str, expected: &str| {
        let said = warnings(train, "QFedAvg", 0.0);
        assert!(
            if expected.is_empty() { said.is_empty() } else { said.starts_with("warning: `QFedAvg`") && said.contains(expected) },
            "{said}"
        );
        assert_eq!(warnings(train, "FedAvg", 0.0), "");
    };
    check("", "they train with SGD with momentum 0.9");
    check("optimizer: { type: SGD, learning_rate: 0.1, momentum: 0.5 }", "momentum 0.5");
    check("optimizer: { type: Adam, learning_rate: 0.1 }", "they train with `Adam`");
    check("optimizer: { type: SGD, learning_rate: 0.1 }", "");
}

#[test]
fn rules_for_fewer_liars_than_a_round_has_are_doubtful() {
    let check = |strategy: &str, fraction: f64, expected: &[&str]| {
        let said = warnings("", strategy, fraction);
        assert_eq!(said.is_empty(), expected.is_empty(), "{strategy}, {fraction}: {said}");
        assert!(expected.iter().all(|words| said.contains(words)), "{strategy}, {fraction}: {said}");
    };
    check("Krum, f: 2", 0.2, &[]);
    check("Krum", 0.2, &["warning: `f` is 1, and of the 10 clients of a round 2 are malicious on average", "4 of 20 clients", "raise `f`"]);
    check("Krum, f: 1", 0.15, &["a round 1.5 are malicious on average"]);
    check("Krum, f: 3", 0.5, &["5 are malicious", "no such rule withstands half of the clients"]);
    check("MultiKrum, f: 1, m: 2", 0.2, &["`f` is 1"]);
    check("Bulyan, f: 1", 0.2, &["`f` is 1"]);
    check("Bulyan, f: 1", 0.1, &[]);
    check("TrimmedMean, beta: 0.2", 0.2, &[]);
    check("TrimmedMean, beta: 0.19", 0.2, &["`beta` is 0.19, which cuts 1 of 10 clients at each end, and", "raise `beta`"]);
    check("Median", 0.2, &[]);
    check("Krum", 0.0, &[]);
}
