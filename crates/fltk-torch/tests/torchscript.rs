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

#[test]
fn module_with_buffers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "central.yaml", TINY_CENTRAL, "buffers.pt");
    let output = run(folder.path(), &["run", "central.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("running_mean") && said.contains("hint: use group or layer norm"), "{said}");
}
