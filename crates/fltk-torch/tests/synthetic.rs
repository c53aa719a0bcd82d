//! Runs on samples that are made when they are used, as processes: any number of workers, interruptions, the server's own samples, clients' tests, ranks,
//! and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path};

use common::json;

fn experiment(dataset: &str, of_task: &str) -> String {
    format!(
        "\
name: made
seeds: [7]
tasks:
  - kind: {}
    network: {{ type: MLP, hidden: [] }}
    dataset: {{ name: synthetic, {dataset} }}
    train: {{ batch_size: 10, optimizer: {{ type: SGD, learning_rate: 0.02 }} }}
    checkpoint_every: 2
    {of_task}
",
        of_task.split(':').next().unwrap()
    )
}

fn federated(clients: u32, more: &str) -> String {
    format!(
        "federated: {{ clients: {clients}, clients_per_round: 8, rounds: 5, epochs_per_round: 2, partition: {{ type: natural_id }}, {more} }}"
    )
}

fn run(at: &Path, text: &str, workers: &str) -> (String, String) {
    fs::write(at.join("made.yaml"), text).unwrap();
    let run = json(at, &["run", "made.yaml", "--workers", workers, "--output", "json"]);
    (run["run"].as_str().unwrap().to_owned(), run["parameters_sha256"].as_str().unwrap().to_owned())
}

#[test]
fn clients_of_many_are_trained_with_the_same_bits_however_they_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = experiment("clients: 100000", &federated(100_000, "strategy: { type: SCAFFOLD }"));
    let (_, one) = run(at, &text, "1");
    let (folder, three) = run(at, &text, "3");
    assert_eq!(one, three);
    // Killed after the third round, one after a checkpoint.
    let journal = at.join(&folder).join("journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let end = whole.find("\"event\":\"round_ended\",\"round\":3,").unwrap();
    fs::write(&journal, &whole[..end + whole[end..].find('\n').unwrap() + 1]).unwrap();
    let resumed = json(at, &["run", "--resume", &folder, "--output", "json"]);
    assert_eq!(resumed["parameters_sha256"], *one);
    // Other samples are another experiment.
    let settings = at.join(&folder).join("experiment.yaml");
    let given = fs::read_to_string(&settings).unwrap();
    fs::write(&journal, &whole[..end]).unwrap();
    fs::write(&settings, given.replace("alpha: 1.0", "alpha: 0.5")).unwrap();
    let refused = common::run(at, &["run", "--resume", &folder]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("dataset.alpha"), "{refused:?}");
}

#[test]
fn what_the_clients_have_in_common_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = experiment("clients: 500, iid: true", &federated(500, "strategy: { type: FedAvg }, client_test_fraction: 0.2"));
    let (run, _) = run(at, &text, "2");
    let shown = json(at, &["runs", "show", &run, "--output", "json"]);
    let accuracy = |row: usize| shown["rows"][row]["test"]["accuracy"].as_f64().unwrap();
    let of_clients = |row: usize| shown["rows"][row]["client_test"].clone();
    assert!(accuracy(0) < 0.25 && accuracy(5) > 0.35, "{} {}", accuracy(0), accuracy(5));
    assert!(of_clients(5).is_object(), "{}", shown["rows"][5]);
}

#[test]
fn a_server_with_samples_of_its_own_and_ranks_train_on_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let rooted = experiment("clients: 40", &federated(40, "strategy: { type: FLTrust, root_samples: 100 }"));
    assert_eq!(run(at, &rooted, "1").1, run(at, &rooted, "2").1);
    let noisy = experiment("clients: 40", &federated(40, "feature_noise: 0.5"));
    assert_ne!(run(at, &noisy, "1").1, run(at, &noisy.replace("0.5", "0.25"), "1").1);
    let ranks = experiment("clients: 10, iid: true", "distributed: { epochs: 1, data_parallelism: 2 }");
    let of_ranks = run(at, &ranks, "2").1;
    assert_eq!(of_ranks, run(at, &ranks, "1").1);
    assert_ne!(of_ranks, run(at, &ranks.replace("clients: 10,", "clients: 10, seed: 1,"), "2").1);
}

#[test]
fn what_does_not_fit_is_refused_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let refused = |command: &str, text: &str, expected: &[&str]| {
        fs::write(at.join("made.yaml"), text).unwrap();
        let output = common::run(at, &[command, "made.yaml"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && expected.iter().all(|words| told.contains(words)), "{told}");
    };
    let text = |dataset: &str| experiment(dataset, &federated(31, "strategy: { type: FedAvg }"));
    refused(
        "validate",
        &text("alpha: 1"),
        &["there are 31 clients, and `synthetic` is made for 30", "set `clients` of the data set to 31"],
    );
    refused("validate", &text("alhpa: 1, clients: 31"), &["did you mean `alpha`?", "made.yaml:6:", "^^^^^"]);
    refused("validate", &text("alpha: -1, clients: 31"), &["`alpha` must be at least 0", "made.yaml:6:"]);
    refused("validate", &text("clients: 31, path: data"), &["`path`", "made.yaml:6:"]);
    refused(
        "validate",
        &text("clients: 31").replace("{ type: MLP, hidden: [] }", "LeNet5"),
        &["vectors of 60 numbers in 10 classes", "`MLP`"],
    );
    let few = text("clients: 1000000").replace("natural_id", "uniform");
    refused("run", &few, &["`uniform` divides all", "use `natural_id`"]);
    let ranks = experiment("clients: 100000", "distributed: { epochs: 1 }");
    refused("run", &ranks, &["use fewer `clients` of the data set, or a federated task"]);
    let drawn = text("clients: 500");
    fs::write(at.join("made.yaml"), &drawn).unwrap();
    let warned = String::from_utf8(common::run(at, &["validate", "made.yaml"]).stderr).unwrap();
    assert!(warned.contains("most clients whose samples are the test set may not train") && warned.contains("to 31"), "{warned}");
    // A data set by name alone has its default settings, and is written out with them.
    fs::write(at.join("made.yaml"), text("clients: 31").replace("{ name: synthetic, clients: 31 }", "synthetic").replace("31", "30"))
        .unwrap();
    let converted = String::from_utf8(common::run(at, &["convert", "made.yaml"]).stdout).unwrap();
    assert!(converted.contains("name: synthetic") && converted.contains("iid: false") && converted.contains("clients: 30"), "{converted}");
}
