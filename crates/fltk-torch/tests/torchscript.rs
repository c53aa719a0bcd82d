//! Tests of TorchScript modules instead of a built-in net: `python/make_torchscript.py` made the files.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{fs, path::Path};

use common::{TINY_CENTRAL, TINY_FEDERATED, json, run};

fn write(folder: &Path, name: &str, experiment: &str, module: &str) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    fs::copy(data.join(module), folder.join(module)).unwrap();
    let network = format!("network: {{ torchscript: {module} }}");
    let text = experiment.replace("network: FashionMNISTCNN", &network).replace("network: MNISTCNN", &network);
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn module_trains_in_one_process_with_reproducible_bits() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "central.yaml", TINY_CENTRAL, "plain.pt");
    let once = json(folder.path(), &["run", "central.yaml", "--output", "json"]);
    let losses: Vec<f64> = once["steps"].as_array().unwrap().iter().map(|step| step["train_loss"].as_f64().unwrap()).collect();
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
    assert!(once["accuracy"].as_f64().unwrap() > 0.6, "{once}");
    let again = json(folder.path(), &["run", "central.yaml", "--output", "json"]);
    assert_eq!(once["parameters_sha256"], again["parameters_sha256"]);
}

#[test]
fn federated_module_gives_the_same_bits_for_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "federated.yaml", TINY_FEDERATED, "plain.pt");
    let with = |workers: &str| json(folder.path(), &["run", "federated.yaml", "--workers", workers, "--output", "json"]);
    assert_eq!(with("1")["parameters_sha256"], with("2")["parameters_sha256"]);
}

/// A module with batch norms, federated, has the same bits for any number of workers and nodes, and learns: its statistics are averaged as buffers.
#[test]
fn modules_with_buffers_are_trained_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    for module in ["statistics.pt", "buffers.pt", "replaced.pt"] {
        write(folder.path(), "federated.yaml", TINY_FEDERATED, module);
        let with = |more: &[&str]| json(folder.path(), &[&["run", "federated.yaml", "--output", "json"], more].concat());
        let one = with(&["--workers", "1"]);
        assert!(one["accuracy"].as_f64().unwrap() > 0.4, "{module}: {one}");
        assert_eq!(with(&["--workers", "2"])["parameters_sha256"], one["parameters_sha256"], "{module}");
        assert_eq!(with(&["--set", "tasks.0.federated.nodes=2"])["parameters_sha256"], one["parameters_sha256"], "{module}");
    }
}

/// Ditto trains a second model for each client, here a second module.
#[test]
fn strategies_that_train_two_models_take_modules() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "federated.yaml", TINY_FEDERATED, "statistics.pt");
    let with = |workers: &str| {
        json(
            folder.path(),
            &["run", "federated.yaml", "--set", "tasks.0.federated.strategy.type=Ditto", "--workers", workers, "--output", "json"],
        )
    };
    assert_eq!(with("1")["parameters_sha256"], with("2")["parameters_sha256"]);
}

#[test]
fn modules_that_dont_fit_the_data_are_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    for (experiment, module, words) in [
        (TINY_FEDERATED.to_owned(), "labels.pt", "returns [2, 3] of Float; the data set has 10 classes"),
        (
            TINY_CENTRAL.replace("dataset: fashion-mnist-mini", "dataset: { name: synthetic, clients: 40 }"),
            "plain.pt",
            "it doesn't take samples",
        ),
    ] {
        write(folder.path(), "misfit.yaml", &experiment, module);
        let output = run(folder.path(), &["run", "misfit.yaml"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words) && said.contains(module), "{said}");
    }
}
