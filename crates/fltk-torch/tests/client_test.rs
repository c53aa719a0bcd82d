//! Tests of federated runs whose clients are tested on samples of their own, as processes: what is recorded, what isn't, and that an interruption changes
//! nothing.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::{json, run};
use serde_json::Value as Json;

fn experiment(federated: &str) -> String {
    format!(
        "\
name: tested
seeds: [7]
tasks:
  - kind: federated
    network: FashionMNISTCNN
    dataset: fashion-mnist-mini
    train: {{ batch_size: 32, optimizer: {{ type: SGD, learning_rate: 0.02 }} }}
    checkpoint_every: 2
    federated:
      clients: 10
      clients_per_round: 3
      rounds: 4
      evaluate_every: 2
      strategy: {{ type: FedBN }}
      partition: {{ type: dirichlet, alpha: 0.5 }}
      {federated}
"
    )
}

/// Runs with these settings in addition; returns the run's folder, relative to `at`, and its digest.
fn trained(at: &Path, federated: &str) -> (String, String) {
    fs::write(at.join("tested.yaml"), experiment(federated)).unwrap();
    let result = json(at, &["run", "tested.yaml", "--output", "json"]);
    let text = |key: &str| result[key].as_str().unwrap().to_owned();
    (text("run"), text("parameters_sha256"))
}

fn exported(at: &Path, clients: bool) -> Vec<Json> {
    let more: &[&str] = if clients { &["--clients"] } else { &[] };
    let table = json(at, &[&["runs", "export", "--format", "json"], more].concat());
    table.as_array().unwrap().clone()
}

#[test]
fn clients_are_tested_on_what_they_do_not_train_on_and_a_resumed_run_has_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (run_folder, digest) = trained(at, "client_test_fraction: 0.2");

    // The division is the one that `data split` prints.
    let split = &json(at, &["data", "split", "tested.yaml", "--output", "json"])[0];
    let samples = |of: &Json| -> BTreeSet<u64> { of.as_array().unwrap().iter().map(|sample| sample.as_u64().unwrap()).collect() };
    let sizes: Vec<usize> = (0..10).map(|client| samples(&split["test"][client.to_string()]).len()).collect();
    for (client, &size) in sizes.iter().enumerate() {
        let all = samples(&split["clients"][client.to_string()]);
        assert_eq!(size, (all.len() / 5).max(1), "client {client} has {} samples", all.len());
        assert!(samples(&split["test"][client.to_string()]).is_subset(&all));
    }

    let rows = exported(at, true);
    let of: Vec<(u64, u64)> = rows.iter().map(|row| (row["round"].as_u64().unwrap(), row["client"].as_u64().unwrap())).collect();
    assert_eq!(of, [0, 2, 4].iter().flat_map(|&round| (0..10).map(move |client| (round, client))).collect::<Vec<_>>());
    let summaries = exported(at, false);
    for (round, of_round) in [0, 2, 4].into_iter().zip(rows.chunks(10)) {
        let accuracies: Vec<f64> = of_round.iter().map(|row| row["test_accuracy"].as_f64().unwrap()).collect();
        assert!(of_round.iter().zip(&sizes).all(|(row, &size)| row["test_items"] == size && row["test_loss"].as_f64().unwrap() > 0.0));
        let summary = &summaries[round];
        assert_eq!(summary["tested_clients"], 10);
        let close = |key: &str, expected: f64| assert!((summary[key].as_f64().unwrap() - expected).abs() < 1e-12, "{key} of round {round}");
        let mean = accuracies.iter().sum::<f64>() / 10.0;
        close("client_accuracy", mean);
        close("client_accuracy_worst_decile", accuracies.iter().copied().fold(1.0, f64::min));
        close("client_accuracy_variance", accuracies.iter().map(|accuracy| (accuracy - mean).powi(2)).sum::<f64>() / 10.0);
    }
    assert_eq!(summaries[1]["client_accuracy"], Json::Null);
    // A round trains on what is left of each client's samples.
    let journal = fs::read_to_string(at.join(&run_folder).join("journal.jsonl")).unwrap();
    let events: Vec<Json> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in events.iter().filter(|event| event["event"] == "client_trained") {
        let client = event["client"].to_string();
        assert_eq!(event["train"]["num_samples"], samples(&split["clients"][&client]).len() - samples(&split["test"][&client]).len());
    }
    let shown = run(at, &["runs", "show", &run_folder]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("mean of clients") && shown.contains("worst tenth"), "{shown}");

    // Killed among the rows of the last round, and resumed after the second.
    let place = journal.match_indices("\"event\":\"client_tested\",\"round\":4").nth(5).unwrap().0;
    let end = journal[..place].rfind('\n').unwrap() + 1;
    fs::write(at.join(&run_folder).join("journal.jsonl"), &journal[..end]).unwrap();
    let resumed = json(at, &["run", "--resume", &run_folder, "--output", "json"]);
    assert_eq!(resumed["parameters_sha256"], digest);
    assert_eq!(exported(at, true), rows);
    // Other settings of the same run are refused.
    let file = at.join(&run_folder).join("experiment.yaml");
    let settings = fs::read_to_string(&file).unwrap();
    for (old, new) in [("client_test_fraction: 0.2", "client_test_fraction: 0.3"), ("client_test_every: 2", "client_test_every: 1")] {
        let changed = settings.replacen(old, new, 1);
        assert_ne!(changed, settings, "{old} is written out");
        fs::write(&file, changed).unwrap();
        let refused = run(at, &["run", "--resume", &run_folder]);
        assert!(!refused.status.success(), "{new}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("client_test"), "{new}");
    }
}

#[test]
fn only_the_figures_on_the_list_are_in_any_file() {
    for (figures, expected) in [("[accuracy]", &["accuracy"][..]), ("[]", &[])] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let (run_folder, _) =
            trained(at, &format!("client_test_fraction: 0.2\n      client_test_every: 4\n      client_figures: {figures}"));
        let journal = fs::read_to_string(at.join(&run_folder).join("journal.jsonl")).unwrap();
        let events: Vec<Json> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let tests: Vec<&Json> = events.iter().filter(|event| event["event"] == "client_tested").collect();
        assert_eq!(tests.len(), if expected.is_empty() { 0 } else { 2 * 10 });
        for test in tests {
            assert_eq!(test["test"].as_object().unwrap().keys().collect::<Vec<_>>(), expected);
        }
        let ended: Vec<&Json> = events.iter().filter(|event| event["event"] == "round_ended").collect();
        assert_eq!(ended.iter().filter(|event| event["client_test"]["num_clients"] == 10).count(), 2);
    }
}

#[test]
fn own_test_samples_change_what_is_trained_on_and_when_they_are_used_changes_nothing() {
    let digest = |federated: &str| {
        let folder = tempfile::tempdir().unwrap();
        trained(folder.path(), federated).1
    };
    let tested = digest("client_test_fraction: 0.2");
    assert_ne!(digest("feature_noise: 0"), tested);
    assert_eq!(digest("client_test_fraction: 0.2\n      client_test_every: 1\n      client_figures: []"), tested);
}

#[test]
fn nobody_to_test_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("split.json"), r#"{ "clients": [[0], [1], [2], [3], [4], [5], [6], [7], [8], [9]] }"#).unwrap();
    let text = experiment("client_test_fraction: 0.2").replace("{ type: dirichlet, alpha: 0.5 }", "{ type: file, path: split.json }");
    fs::write(at.join("tested.yaml"), text).unwrap();
    let refused = run(at, &["run", "tested.yaml"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("none of 10 clients has two samples") && said.contains("hint: "), "{said}");
    assert!(!at.join("runs").exists() || fs::read_dir(at.join("runs")).unwrap().next().is_none(), "nothing was begun");
}

/// The server's own samples are among those that the clients train on, which are fewer than the training set with tests of clients.
#[test]
fn more_root_samples_than_there_are_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = experiment("client_test_fraction: 0.5").replace("{ type: FedBN }", "{ type: FLTrust, root_samples: 3999 }");
    fs::write(at.join("trusted.yaml"), text).unwrap();
    let refused = run(at, &["run", "trusted.yaml"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("`root_samples` is 3999") && said.contains("hint: use at most 20"), "{said}");
    assert!(!at.join("runs").exists() || fs::read_dir(at.join("runs")).unwrap().next().is_none(), "nothing was begun");
}
