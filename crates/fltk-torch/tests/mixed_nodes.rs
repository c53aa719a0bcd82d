//! Tests of runs with nodes in Rust and in Python, with the Python that `FLTK_PYTHON` names: each has the data of its client, and trains it with a net of the same tensors.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;
#[path = "support/own_data.rs"]
mod own_data;
#[path = "support/python.rs"]
mod support;

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use common::repository;
use own_data::{federate, free_port, journal, node, wait, write_classes};
use support::{packages, python, said};

/// An experiment with a net that has buffers and counters.
const EXPERIMENT: &str = "\
name: own
seeds: [7]
tasks:
  - kind: federated
    network: FashionMNISTCNN
    dataset: fashion-mnist-mini
    train: { batch_size: 32, test_batch_size: 500, optimizer: { type: SGD, learning_rate: 0.02, momentum: 0.9 } }
    checkpoint_every: 1
    federated: { clients: [north, south], data: here, clients_per_round: 2, rounds: 3 }
";

/// Writes the experiment, the data of its clients, and the twin of its net.
fn folder(experiment: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_classes(&at.join("north"), 0..5);
    write_classes(&at.join("south"), 5..10);
    fs::write(at.join("own.yaml"), experiment).unwrap();
    fs::copy(repository().join("python/nets.py"), at.join("nets.py")).unwrap();
    folder
}

/// Starts a node in Python by the line that a federator printed for nodes in Rust.
fn python_node(at: &Path, python: &OsStr, line: &str, more: &[&str]) -> Child {
    let mut node = Command::new(python);
    node.args(["-m", "fltk.node"]).args(line.split_whitespace().skip(1)).args(["--workers", "1", "--program", common::PROGRAM]).args(more);
    node.env("PYTHONPATH", packages()).env("XDG_CACHE_HOME", at.join("cache")).current_dir(at);
    node.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs the experiment with a node in Rust for the north, and one in Python for the south. The federator is killed after round `killed_after`, and begun again. Returns
/// the result.
fn run(at: &Path, python: &OsStr, killed_after: Option<u32>) -> serde_json::Value {
    let _ = fs::remove_dir_all(at.join("runs"));
    let listen = free_port();
    let args = ["--listen", &listen, "--host", "localhost"];
    let (mut federator, lines, _) = federate(at, &args, 2);
    let north = node(at, &lines[0], "north");
    let south = python_node(at, python, &lines[1].replace("DIR", "south"), &["--model", "nets.py:FashionMNISTCNN"]);
    if let Some(round) = killed_after {
        wait(&|| journal(at).contains(&format!("\"event\":\"round_ended\",\"round\":{round}")));
        federator.kill().unwrap();
        federator.wait().unwrap();
        federator = federate(at, &args, 0).0;
    }
    let Output { status, stdout, .. } = federator.wait_with_output().unwrap();
    for node in [north, south] {
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    assert!(status.success());
    serde_json::from_slice(&stdout).unwrap()
}

#[test]
fn a_node_in_rust_and_one_in_python_train_together_to_the_same_bits_each_time() {
    let Some(python) = python() else { return };
    let folder = folder(EXPERIMENT);
    let at = folder.path();
    let first = run(at, &python, None);
    let lines = journal(at);
    assert!(["north", "south"].iter().all(|name| lines.contains(&format!("\"client\":\"{name}\""))), "{lines}");
    assert_eq!(run(at, &python, None)["parameters_sha256"], first["parameters_sha256"]);
    assert_eq!(run(at, &python, Some(1))["parameters_sha256"], first["parameters_sha256"], "killed");
    assert!(journal(at).matches("\"started\"").count() >= 2);
    // Each has half of the classes, and one in Rust alone could learn no more.
    let accuracy = first["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.55, "{accuracy}");
}

#[test]
fn what_a_twin_cant_be_is_said_when_it_joins() {
    let Some(python) = python() else { return };
    let check = |experiment: &str, more: &[&str], expected: &str| {
        let folder = folder(experiment);
        let at = folder.path();
        fs::write(at.join("other.py"), "import nets\n\ndef wide():\n    net = nets.FashionMNISTCNN()\n    net.fc = nets.nn.Linear(1568, 12)\n    return net\n\ndef short():\n    return nets.nn.Linear(2, 2)\n\ndef double():\n    return nets.FashionMNISTCNN().double()\n").unwrap();
        let (mut federator, lines, _) = federate(at, &["--listen", "127.0.0.1:0", "--insecure"], 1);
        let line = lines[0].replace("NAME", "south").replace("DIR", "south");
        let output = python_node(at, &python, &line, more).wait_with_output().unwrap();
        federator.kill().unwrap();
        federator.wait().unwrap();
        assert!(output.status.code() == Some(1) && said(&output).contains(expected), "no `{expected}` in {}", said(&output));
    };
    check(
        EXPERIMENT,
        &["--model", "other.py:wide"],
        "`--model` makes another net than the run has: its tensor 15 is `fc.weight` [12, 1568], trained float32, and the run's is `fc.weight` [10, 1568], trained float32",
    );
    check(
        EXPERIMENT,
        &["--model", "other.py:short"],
        "its tensor 1 is `weight` [2, 2], trained float32, and the run's is `conv1.weight` [16, 1, 5, 5]",
    );
    check(EXPERIMENT, &["--model", "other.py:double"], "`conv1.weight` of the model is torch.float64");
    check(EXPERIMENT, &["--model", "nobody.py:wide"], "`--model`: [Errno 2] No such file or directory");
    check(EXPERIMENT, &["--model", "other.py"], "`--model other.py` isn't a file and a name in it");
    check(EXPERIMENT, &[], "so does a module of the same tensors with `--model`, if each client's data is at its node");
    let compressed = EXPERIMENT.replace("rounds: 3", "rounds: 3, compression: { type: int8 }");
    check(&compressed, &["--model", "nets.py:FashionMNISTCNN"], "this run has `compression`, which nodes in Python don't do");
    let everywhere = EXPERIMENT.replace("clients: [north, south], data: here", "clients: 2");
    check(
        &everywhere,
        &["--model", "nets.py:FashionMNISTCNN"],
        "only if each client's data is at its node (`data: here`): elsewhere any node trains any client, and whether it was one in Rust or in Python would decide the last bits",
    );
}

/// A node in Python gets its samples in this way.
#[test]
fn arrays_are_those_of_one_client_if_clients_have_data_of_their_own() {
    let folder = folder(EXPERIMENT);
    let at = folder.path();
    let write = |more: &[&str]| support::run(at, &[&["data", "arrays", "own.yaml", "--write", "arrays"], more].concat());
    assert!(said(&write(&[])).contains("`--client NAME --data DIR` says whose it is"));
    assert!(said(&write(&["--client", "east", "--data", "north"])).contains("no client with data of its own is called `east`"));
    let written = write(&["--client", "south", "--data", "south"]);
    assert!(written.status.success(), "{}", said(&written));
    let ends = fs::read(at.join("arrays/ends.npy")).unwrap();
    let expected: Vec<u8> = [0u64, 2000].iter().flat_map(|end| end.to_le_bytes()).collect();
    assert!(ends.ends_with(&expected));
}
