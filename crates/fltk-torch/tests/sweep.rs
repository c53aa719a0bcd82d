//! Tests of groups in which one run fails, and of rounds in which no client trains.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{json, run};

const SWEEP: &str = "\
name: diverging-sweep
seeds: [1, 2]
tasks:
  - name: l
    kind: distributed
    network: LeNet5
    dataset: fashion-mnist-mini
    train: { batch_size: 256, optimizer: { type: SGD, learning_rate: 0.01 } }
    distributed: { epochs: 1 }
    matrix: { factors: { train.optimizer.learning_rate: [0.01, 1e6, 0.1] } }
";

/// The number of runs in `folder` by status, and the total number of their starts.
fn standing(at: &Path, runs: &str) -> (BTreeMap<String, usize>, usize) {
    let listed = json(at, &["runs", "list", "--runs", runs, "--output", "json"]);
    let mut counts = BTreeMap::new();
    for run in listed.as_array().unwrap() {
        *counts.entry(run["status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let journals =
        fs::read_dir(at.join(runs)).unwrap().filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("journal.jsonl")).ok());
    (counts, journals.map(|journal| journal.matches("\"event\":\"started\"").count()).sum())
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(status, count)| (status.to_owned(), count)).collect()
}

#[test]
fn sweep_continues_after_a_diverged_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("sweep.yaml"), SWEEP).unwrap();
    let fltk = |args: &[&str]| {
        let output = run(at, args);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let sweep = ["run", "sweep.yaml", "--id", "s"];
    let (code, said) = fltk(&sweep);
    assert_eq!(code, Some(5), "{said}");
    assert!(
        said.contains("2 of 6 runs failed") && said.contains("seed 1: the loss became") && said.contains("seed 2: the loss became"),
        "{said}"
    );
    assert_eq!(standing(at, "runs"), (counts([("failed", 2), ("finished", 4)]), 6));
    // A run that failed for good is skipped, whichever command resumes the group.
    let listed = json(at, &["runs", "list", "--output", "json"]);
    let one = listed.as_array().unwrap().iter().find(|run| run["status"] == "failed").unwrap()["run"].as_str().unwrap();
    for again in [&sweep[..], &["run", "--resume", one]] {
        let (code, said) = fltk(again);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("2 of 6 runs failed") && said.contains("--retry-failed"), "{said}");
        assert_eq!(standing(at, "runs").1, 6);
    }
    for flag in ["--retry-failed", "--failed"] {
        assert_eq!(fltk(&["run", "--resume", one, flag]).0, Some(5));
    }
    assert_eq!(standing(at, "runs"), (counts([("failed", 2), ("finished", 4)]), 10));
    assert_eq!(fltk(&["run", "sweep.yaml", "--runs", "fast", "--fail-fast"]).0, Some(5));
    assert_eq!(standing(at, "fast").0, counts([("failed", 1), ("finished", 1)]));
    // A single federated run fails in the same way.
    let alone = "name: wild\ntasks:\n  - { kind: federated, network: LeNet5, dataset: fashion-mnist-mini, \
        train: { optimizer: { type: SGD, learning_rate: 1e30 } }, federated: { clients: 40, clients_per_round: 2, rounds: 2 } }\n";
    fs::write(at.join("alone.yaml"), alone).unwrap();
    let alone = ["run", "alone.yaml", "--id", "w", "--runs", "alone"];
    assert!(fltk(&alone).1.contains("lower the learning rate"));
    let (code, said) = fltk(&alone);
    assert!(code == Some(5) && said.contains("it failed before: client") && said.contains("--retry-failed"), "{said}");
    assert_eq!(standing(at, "alone"), (counts([("failed", 1)]), 1));
}

#[test]
fn round_without_training_has_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let experiment = |batch_size: u32, clients: u32, partition: &str| {
        let task = format!(
            "{{ kind: federated, network: LeNet5, dataset: fashion-mnist-mini, train: {{ batch_size: {batch_size}, drop_last: true }}, \
             federated: {{ clients: {clients}, clients_per_round: 2, rounds: 1{partition} }} }}"
        );
        fs::write(at.join("idle.yaml"), format!("name: nobody-trains\ntasks:\n  - {task}\n")).unwrap();
    };
    // No client could ever train: the run is refused before anything begins.
    experiment(1024, 20, "");
    let output = run(at, &["run", "idle.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("no client can take a step") && said.contains("a batch of 1024") && said.contains("hint:"), "{said}");
    assert!(!at.join("runs").exists());
    // Some clients could train, but aren't selected.
    experiment(500, 40, ", partition: { type: dirichlet, alpha: 0.1 }");
    let split = json(at, &["data", "split", "idle.yaml", "--output", "json"]);
    let sizes: Vec<usize> = split[0]["clients"].as_object().unwrap().values().map(|samples| samples.as_array().unwrap().len()).collect();
    let largest = *sizes.iter().max().unwrap();
    assert!(sizes.iter().filter(|size| **size == largest).count() < 3, "{sizes:?}");
    experiment(u32::try_from(largest).unwrap(), 40, ", partition: { type: dirichlet, alpha: 0.1 }");
    let result = json(at, &["run", "idle.yaml", "--output", "json"]);
    assert!(result["steps"][1]["train_loss"].is_null(), "{result}");
    let run = at.join(result["run"].as_str().unwrap());
    let journal = fs::read_to_string(run.join("journal.jsonl")).unwrap();
    assert_eq!(journal.matches("\"loss\":null").count(), 3, "two clients and their round: {journal}");
    let metrics = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let column = metrics.lines().next().unwrap().split(',').position(|name| name == "train_loss").unwrap();
    assert_eq!(metrics.lines().nth(2).unwrap().split(',').nth(column), Some(""), "{metrics}");
    for event_file in
        fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.to_string_lossy().contains("tfevents"))
    {
        let bytes = fs::read(event_file).unwrap();
        let has = |tag: &[u8]| bytes.windows(tag.len()).any(|window| window == tag);
        assert!(has(b"loss/test") && !has(b"loss/train"));
    }
    // The run can be read again.
    assert!(String::from_utf8(common::run(at, &["runs", "show", run.to_str().unwrap()]).stdout).unwrap().contains(" - "));
}
