//! Runs on data of one's own, as processes: any number of workers and nodes, ranks, resuming, records, and what is refused when it is loaded.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path};

use common::json;

fn experiment(network: &str, dataset: &str, of_task: &str) -> String {
    format!(
        "\
name: own
seeds: [7]
tasks:
  - kind: {}
    network: {network}
    dataset: {dataset}
    train: {{ batch_size: 10, optimizer: {{ type: SGD, learning_rate: 0.1 }} }}
    {of_task}
",
        of_task.split(':').next().unwrap()
    )
}

fn run(at: &Path, text: &str, more: &[&str]) -> (String, String) {
    fs::write(at.join("own.yaml"), text).unwrap();
    let run = json(at, &[&["run", "own.yaml", "--output", "json"], more].concat());
    (run["run"].as_str().unwrap().to_owned(), run["parameters_sha256"].as_str().unwrap().to_owned())
}

/// Writes a table of 90 samples in three classes, which a linear model can tell apart.
fn table(at: &Path) {
    let row = |index: u32| {
        let class = index % 3;
        let noise = f64::from(index * 37 % 11) / 10.0;
        format!("{},{},kind-{class}\n", f64::from(class) * 4.0 + noise, 100.0 - f64::from(class * class) * 30.0 + noise)
    };
    fs::write(at.join("table.csv"), format!("height,width,label\n{}", (0..90).map(row).collect::<String>())).unwrap();
}

/// Writes a file of LEAF with four users.
fn leaf(at: &Path) {
    let user = |user: u32| {
        let x: Vec<Vec<f64>> = (0..10 + user).map(|index| vec![f64::from(index % 2), f64::from(user)]).collect();
        let y: Vec<u32> = (0..10 + user).map(|index| index % 2).collect();
        (format!("user {user}"), serde_json::json!({ "x": x, "y": y }))
    };
    let data: serde_json::Map<String, serde_json::Value> = (0..4).map(user).collect();
    let users: Vec<&String> = data.keys().collect();
    fs::write(at.join("leaf.json"), serde_json::json!({ "users": users, "user_data": data }).to_string()).unwrap();
}

const FEDERATED: &str = "federated: { clients: 4, clients_per_round: 2, rounds: 6, partition: { type: uniform } }";

#[test]
fn own_data_trains_to_the_same_bits_however_it_runs_and_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    table(at);
    let text = experiment("LogisticRegression", "{ path: table.csv }", FEDERATED);
    let (run_folder, one) = run(at, &text, &["--workers", "1"]);
    assert_eq!(run(at, &text, &["--workers", "3"]).1, one);
    assert_eq!(run(at, &text.replace("path: table.csv", "path: table.csv, format: csv"), &[]).1, one);
    assert_eq!(run(at, &text.replace("rounds: 6", "rounds: 6, nodes: 2"), &[]).1, one);
    assert_ne!(run(at, &text.replace("table.csv", "table.csv, normalize: false"), &[]).1, one);
    let shown = json(at, &["runs", "show", &run_folder, "--output", "json"]);
    let last = shown["rows"].as_array().unwrap().last().unwrap();
    assert!(last["test"]["accuracy"].as_f64().unwrap() > 0.9, "{last}");
    let described: serde_json::Value = serde_json::from_slice(&fs::read(at.join(&run_folder).join("run.json")).unwrap()).unwrap();
    let provenance = &described["provenance"];
    assert!(provenance["table.csv"].as_str().unwrap().starts_with("sha256:"), "{provenance}");
    assert!(provenance["normalization"].as_str().unwrap().starts_with("mean ["), "{provenance}");
    let listed = json(at, &["runs", "list", "--output", "json"]);
    assert!(listed.to_string().contains("\"dataset\":\"table.csv\""), "{listed}");
    // A run goes on only with the same data.
    let journal = at.join(&run_folder).join("journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let end = whole.find("\"event\":\"round_ended\",\"round\":3,").unwrap();
    fs::write(&journal, &whole[..end + whole[end..].find('\n').unwrap() + 1]).unwrap();
    assert_eq!(json(at, &["run", "--resume", &run_folder, "--output", "json"])["parameters_sha256"], *one);
    fs::write(&journal, &whole[..end + whole[end..].find('\n').unwrap() + 1]).unwrap();
    fs::write(at.join("table.csv"), fs::read_to_string(at.join("table.csv")).unwrap().replace("kind-2", "kind-3")).unwrap();
    let refused = common::run(at, &["run", "--resume", &run_folder]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("the data set is not the one that the run began with"), "{told}");
}

#[test]
fn users_of_leaf_are_clients_and_ranks_train_on_images() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    leaf(at);
    let text = experiment("LogisticRegression", "{ path: leaf.json }", &FEDERATED.replace("uniform", "natural_id"));
    let (run_folder, _) = run(at, &text, &[]);
    let split = json(at, &["data", "split", "own.yaml", "--output", "json"]);
    let sizes: Vec<usize> = split[0]["clients"].as_object().unwrap().values().map(|samples| samples.as_array().unwrap().len()).collect();
    assert_eq!(sizes, [8, 9, 10, 10], "{run_folder}");
    let shown = json(at, &["data", "show", "leaf.json", "--output", "json"]);
    assert_eq!(
        (shown["natural_clients"].as_u64(), shown["train_samples"].as_u64(), shown["test_samples"].as_u64()),
        (Some(4), Some(37), Some(9))
    );
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fltk-data/assets");
    let dataset = format!("{{ path: {}, format: idx }}", assets.canonicalize().unwrap().display());
    let ranks = |ranks: u32| experiment("LeNet5", &dataset, &format!("distributed: {{ epochs: 1, data_parallelism: {ranks} }}"));
    let (one, _) = run(at, &ranks(1), &[]);
    run(at, &ranks(2), &[]);
    let shown = json(at, &["runs", "show", &one, "--output", "json"]);
    assert!(shown["rows"].as_array().unwrap().last().unwrap()["test"]["accuracy"].as_f64().unwrap() > 0.5, "{shown}");
}

#[test]
fn what_only_the_files_show_is_refused_before_a_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    table(at);
    let refused = |text: &str, expected: &str| {
        fs::write(at.join("own.yaml"), text).unwrap();
        assert!(common::run(at, &["validate", "own.yaml"]).status.success());
        let output = common::run(at, &["run", "own.yaml"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(expected), "{told}");
        assert!(!at.join("runs").exists(), "{told}");
    };
    let own = "{ path: table.csv }";
    refused(&experiment("LeNet5", own, FEDERATED), "table.csv`: net `LeNet5` distinguishes 10 classes, the data set has 3");
    refused(&experiment("CharLSTM", own, FEDERATED), "table.csv`: net `CharLSTM` reads tokens, the data set has images");
    let natural = FEDERATED.replace("uniform", "natural_id");
    refused(&experiment("LogisticRegression", own, &natural), "needs a data set with clients of its own");
    let wrong = experiment("LogisticRegression", "{ path: table.csv, format: csv, label: width }", FEDERATED);
    refused(&wrong, "table.csv`, line 2, column `label`: `kind-0` isn't a finite number");
    refused(&experiment("LogisticRegression", "{ path: nothing }", FEDERATED), "nothing`: there is no such file or folder");
}
