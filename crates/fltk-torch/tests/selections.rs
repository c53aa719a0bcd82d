//! Tests of federated runs with each selection, as processes: an interrupted run selects the same clients, and ends with the same bits.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path};

use common::json;
use serde_json::Value as Json;

fn experiment(federated: &str) -> String {
    format!(
        "\
name: selected
seeds: [7]
tasks:
  - kind: federated
    network: LeNet5
    dataset: fashion-mnist-mini
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.05 }} }}
    checkpoint_every: 3
    federated: {{ clients: 12, rounds: 6, evaluate_every: 6, partition: {{ type: quantity_skew, skew: {{ law: linear }} }}, {federated} }}
"
    )
}

/// The clients that trained, by round.
fn cohorts(at: &Path, folder: &str) -> Vec<Vec<u64>> {
    let journal = fs::read_to_string(at.join(folder).join("journal.jsonl")).unwrap();
    let mut cohorts = vec![Vec::new(); 6];
    for line in journal.lines() {
        let event: Json = serde_json::from_str(line).unwrap();
        if event["event"] == "client_trained" {
            cohorts[event["round"].as_u64().unwrap() as usize - 1].push(event["client"].as_u64().unwrap());
        }
    }
    cohorts
}

/// Cuts the journal after the record of the end of the last round, before its checkpoint, as if the run had been killed then.
fn interrupt(at: &Path, folder: &str) {
    let path = at.join(folder).join("journal.jsonl");
    let journal = fs::read_to_string(&path).unwrap();
    let start = journal.find("\"event\":\"round_ended\",\"round\":6,").unwrap();
    let end = start + journal[start..].find('\n').unwrap() + 1;
    fs::write(&path, &journal[..end]).unwrap();
}

/// Trains on one worker, interrupts the run and resumes it on two; returns the clients of each round.
fn check(federated: &str) -> Vec<Vec<u64>> {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("selected.yaml"), experiment(federated)).unwrap();
    let result = json(at, &["run", "selected.yaml", "--workers", "1", "--output", "json"]);
    let run = result["run"].as_str().unwrap();
    let whole = cohorts(at, run);
    interrupt(at, run);
    let resumed = json(at, &["run", "--resume", run, "--workers", "2", "--output", "json"]);
    assert_eq!(resumed["parameters_sha256"], result["parameters_sha256"], "{federated}");
    // The rounds after the first checkpoint were trained again.
    let expected: Vec<Vec<u64>> =
        whole.iter().enumerate().map(|(at, cohort)| if at >= 3 { cohort.repeat(2) } else { cohort.clone() }).collect();
    assert_eq!(cohorts(at, run), expected, "{federated}");
    whole
}

#[test]
fn clients_are_drawn_by_samples() {
    let cohorts = check("clients_per_round: 3, selection: { type: weighted }, strategy: { type: FedAvg, weights: uniform }");
    assert!(cohorts.iter().all(|cohort| cohort.len() == 3));
}

#[test]
fn every_client_has_its_part_before_losses_decide() {
    let cohorts = check("clients_per_round: 3, selection: { type: power_of_choice, candidates: 12 }");
    let mut first = cohorts[..4].concat();
    first.sort_unstable();
    assert_eq!(first, (0..12).collect::<Vec<u64>>());
}

#[test]
fn candidates_measure_the_loss_of_the_current_model() {
    let selection =
        |samples| format!("clients_per_round: 2, selection: {{ type: power_of_choice, candidates: 6, losses: current{samples} }}");
    let [all, few] = ["", ", loss_samples: 8"].map(|samples| check(&selection(samples)));
    assert!(all.iter().chain(&few).all(|cohort| cohort.len() == 2));
    assert_ne!(all, few);
    assert_ne!(all, check("clients_per_round: 2, selection: { type: power_of_choice, candidates: 6 }"));
}

#[test]
fn exploration_and_exploitation_mix() {
    let cohorts =
        check("clients_per_round: 4, selection: { type: oort, pacer_step: 10, epsilon: 0.5 }, strategy: { type: FedAvgM, momentum: 0.5 }");
    // In the second round 0.49 of four clients are new, which is one, and three are of the first.
    assert_eq!(cohorts[1].iter().filter(|client| cohorts[0].contains(client)).count(), 3, "{cohorts:?}");
}

#[test]
fn a_round_has_one_tier() {
    let cohorts = check("clients_per_round: 3, selection: { type: tifl, tiers: 3 }");
    // Two rounds of one tier share a client of its four, and the others share none.
    for (one, other) in cohorts.iter().zip(&cohorts[1..]) {
        let num_shared = one.iter().filter(|client| other.contains(client)).count();
        assert!(num_shared == 0 || num_shared >= 2, "{cohorts:?}");
    }
}

#[test]
fn the_model_goes_from_client_to_client() {
    let cohorts = check("clients_per_round: 1, selection: { type: cyclic }, strategy: { type: Cyclic }");
    assert_eq!(cohorts, (0..6).map(|client| vec![client]).collect::<Vec<_>>());
}
