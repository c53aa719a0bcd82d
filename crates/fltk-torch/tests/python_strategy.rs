//! Tests of federated runs whose strategy is a class in Python, with the Python that `FLTK_PYTHON` names, which `cargo xtask test` sets.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;
#[path = "support/python.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::repository;
use support::{command, packages, python, run, said};

/// The time in which anything that is waited for happens.
const PATIENCE: Duration = Duration::from_secs(90);

/// A net with buffers and counters, over more rounds than momentum needs to show.
const EXPERIMENT: &str = "\
name: own
seeds: [7]
tasks:
  - kind: federated
    network: FashionMNISTCNN
    dataset: fashion-mnist-mini
    train: { batch_size: 32, test_batch_size: 500, optimizer: { type: SGD, learning_rate: 0.05 } }
    checkpoint_every: 1
    federated:
      clients: 8
      clients_per_round: 4
      rounds: 4
      steps_per_round: 4
      partition: { type: dirichlet, alpha: 0.5 }
      strategy: { python: \"mine.py:FedAvgM\" }
";

const OWN: &str = "{ python: \"mine.py:FedAvgM\" }";

/// Returns the code of the example, with `more` after it.
fn example(more: &str) -> String {
    fs::read_to_string(repository().join("examples/python/fedavgm.py")).unwrap() + more
}

/// Returns a folder with the experiment and its code.
fn folder(experiment: &str, code: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("experiment.yaml"), experiment).unwrap();
    fs::write(folder.path().join("mine.py"), code).unwrap();
    folder
}

/// Runs an experiment, which has to succeed, and returns its digest.
fn digest(experiment: &str, code: &str, args: &[&str]) -> String {
    let folder = folder(experiment, code);
    let output = run(folder.path(), &[&["run", "experiment.yaml", "--output", "json"], args].concat());
    assert!(output.status.success(), "{}", said(&output));
    digest_in(&output.stdout)
}

fn digest_in(json: &[u8]) -> String {
    let result: serde_json::Value = serde_json::from_slice(json).unwrap();
    result["parameters_sha256"].as_str().unwrap().to_owned()
}

/// Returns the lines of the journal of the only run.
fn journal(at: &Path) -> String {
    let runs: Vec<PathBuf> = fs::read_dir(at.join("runs")).into_iter().flatten().map(|run| run.unwrap().path()).collect();
    runs.iter().filter_map(|run| fs::read_to_string(run.join("journal.jsonl")).ok()).collect()
}

/// Kills the run in `at` once `round` is recorded.
fn kill_after(at: &Path, args: &[&str], round: u32) {
    let mut child: Child = command(at, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    while !journal(at).contains(&format!("\"event\":\"round_ended\",\"round\":{round}")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before round {round}");
        assert!(Instant::now() < until, "nothing happens");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_twin_of_fedavgm_has_its_bits_for_any_number_of_workers_and_nodes_and_when_it_was_killed() {
    if python().is_none() {
        return;
    }
    let built_in = EXPERIMENT.replace(OWN, "{ type: FedAvgM }");
    let expected = digest(&built_in, "", &[]);
    assert_ne!(digest(&EXPERIMENT.replace(OWN, "{ type: FedAvg }"), "", &[]), expected, "momentum shows");
    for workers in ["1", "2"] {
        assert_eq!(digest(EXPERIMENT, &example(""), &["--workers", workers]), expected, "{workers} workers");
    }
    let nodes = EXPERIMENT.replace("clients: 8", "nodes: 2\n      clients: 8");
    assert_eq!(digest(&nodes, &example(""), &[]), expected, "two nodes");
    // A pause, so that it can be killed between two rounds.
    let slow = example("").replace("changes, others =", "__import__('time').sleep(0.3)\n        changes, others =");
    let killed = folder(EXPERIMENT, &slow);
    let (at, args) = (killed.path(), ["run", "experiment.yaml", "--id", "a", "--output", "json"]);
    kill_after(at, &args, 1);
    kill_after(at, &args, 2);
    let output = run(at, &args);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(digest_in(&output.stdout), expected, "killed twice");
    assert!(journal(at).matches("\"event\":\"started\"").count() >= 3, "{}", journal(at));
}

#[test]
fn what_is_resumed_is_the_same_code_wherever_it_is() {
    if python().is_none() {
        return;
    }
    let slow = example("").replace("changes, others =", "__import__('time').sleep(0.3)\n        changes, others =")
        + "\n\nclass Other(FedAvgM):\n    pass\n";
    let folder = folder(EXPERIMENT, &slow);
    let (at, args) = (folder.path(), ["run", "experiment.yaml", "--id", "a", "--output", "json"]);
    kill_after(at, &args, 1);
    let refused = |expected: &str| {
        let output = run(at, &args);
        assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
    };
    fs::write(at.join("mine.py"), slow.replace("0.9", "0.8")).unwrap();
    refused("(`federated.strategy.python`) has SHA-256");
    fs::write(at.join("mine.py"), &slow).unwrap();
    // Another class of the same file is another strategy; another place and environment are none.
    let run_folder = fs::read_dir(at.join("runs")).unwrap().next().unwrap().unwrap().path();
    let described = run_folder.join("experiment.yaml");
    let text = fs::read_to_string(&described).unwrap();
    fs::create_dir(at.join("moved")).unwrap();
    fs::rename(at.join("mine.py"), at.join("moved/its.py")).unwrap();
    let resume = ["run", "--resume", run_folder.to_str().unwrap(), "--output", "json"];
    let moved = text.replace("/mine.py:FedAvgM", "/moved/its.py:FedAvgM");
    assert_ne!(moved, text);
    fs::write(&described, moved.replace("its.py:FedAvgM", "its.py:Other")).unwrap();
    let output = run(at, &resume);
    assert!(said(&output).contains("(`federated.strategy.python`) has SHA-256"), "{}", said(&output));
    fs::write(&described, moved).unwrap();
    let output = run(at, &resume);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(digest_in(&output.stdout), digest(&EXPERIMENT.replace(OWN, "{ type: FedAvgM }"), "", &[]));
}

#[test]
fn terms_of_clients_are_those_of_the_programs_own_strategies() {
    if python().is_none() {
        return;
    }
    let code = "\
from fltk.strategy import Strategy, weighted_mean


class FedProx(Strategy):
    def client_terms(self, client, terms, state):
        assert terms == {'learning_rate': 0.05, 'proximal_mu': 0.0, 'steps': 4}
        return {'proximal_mu': 0.5}

    def combine(self, model, updates, state):
        return weighted_mean(model, updates)
";
    let own = EXPERIMENT.replace("FedAvgM", "FedProx");
    assert_eq!(digest(&own, code, &[]), digest(&EXPERIMENT.replace(OWN, "{ type: FedProx, mu: 0.5 }"), "", &[]));
}

#[test]
fn errors_of_the_code_are_told_with_their_place_and_are_for_good() {
    if python().is_none() {
        return;
    }
    let check = |combine: &str, expected: &[&str], for_good: bool| {
        let code = format!(
            "import os\nimport numpy as np\nfrom fltk.strategy import Strategy\n\n\nclass FedAvgM(Strategy):\n    def combine(self, model, updates, state):\n        {combine}\n"
        );
        let folder = folder(EXPERIMENT, &code);
        let output = run(folder.path(), &["run", "experiment.yaml"]);
        assert!(!output.status.success(), "{}", said(&output));
        for text in expected {
            assert!(said(&output).contains(text), "no `{text}` in {}", said(&output));
        }
        assert_eq!(journal(folder.path()).contains("\"for_good\":true"), for_good, "{}", said(&output));
    };
    check(
        "raise ValueError('not today')",
        &[
            "Traceback (most recent call last)",
            "the run failed: the strategy failed in round `1`: ValueError: not today (`mine.py`, line 8, in `combine`)",
        ],
        true,
    );
    check(
        "return {**model, model.parameters[0]: np.zeros(3, np.float32)}",
        &["` of what `combine` returned has shape 3 instead of "],
        true,
    );
    check("print('seen'); return {}", &["seen", "`combine` returned no `"], true);
    check("os._exit(3)", &["the process of the strategy ended with exit status: 3"], false);
    check("os.close(0); os.write(1, b'seen'); raise KeyboardInterrupt", &["seen", "KeyboardInterrupt (`mine.py`, line 8"], true);
    let other = |code: &str, expected: &str| {
        let folder = folder(EXPERIMENT, code);
        fs::write(folder.path().join("beside.py"), "").unwrap();
        let output = run(folder.path(), &["run", "experiment.yaml"]);
        assert!(said(&output).contains(expected), "no `{expected}` in {}", said(&output));
    };
    // Nobody would notice if it changed.
    other("import beside\n", "hint: install `beside` there; modules beside `mine.py` aren't looked for");
    other(
        "import nothing_of_this_name\n",
        "the strategy can't be loaded: ModuleNotFoundError: No module named 'nothing_of_this_name' (`mine.py`, line 1",
    );
    other("x = 1\n", "`mine.py` has no `FedAvgM`");
    let nowhere = folder(&EXPERIMENT.replace("FedAvgM\" }", "FedAvgM\", environment: nowhere }"), &example(""));
    let output = run(nowhere.path(), &["run", "experiment.yaml"]);
    let said_of_it = said(&output);
    assert!(said_of_it.contains("can't start the strategy with the Python `") && said_of_it.contains("/nowhere`"), "{said_of_it}");
    let without = folder(EXPERIMENT, &example(""));
    let output = command(without.path(), &["run", "experiment.yaml"]).env("PYTHONPATH", "").output().unwrap();
    assert!(said(&output).contains("which needs NumPy and the package `fltk`"), "{}", said(&output));
}

#[test]
fn a_strategy_and_a_net_in_python_go_together() {
    let Some(python) = python() else { return };
    if !Command::new(python).args(["-c", "import torch, grpc, blake3"]).output().is_ok_and(|output| output.status.success()) {
        return;
    }
    let net = "from torch import nn\n\n\ndef make_model():\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n";
    let experiment = EXPERIMENT.replace("FashionMNISTCNN", "{ python: \"net.py:make_model\" }").replace("rounds: 4", "rounds: 2");
    let train = |experiment: &str| {
        let folder = folder(experiment, &example(""));
        fs::write(folder.path().join("net.py"), net).unwrap();
        let output = run(folder.path(), &["run", "experiment.yaml", "--output", "json"]);
        assert!(output.status.success(), "{}", said(&output));
        digest_in(&output.stdout)
    };
    assert_eq!(train(&experiment), train(&experiment.replace(OWN, "{ type: FedAvgM }")));
}

#[test]
fn the_packages_own_tests_and_the_example_pass() {
    let Some(python) = python() else { return };
    let tests = repository().join("python/fltk/tests/test_strategy.py");
    let output = Command::new(&python).arg(tests).env("PYTHONPATH", packages()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let examples = repository().join("examples/python");
    let folder = folder(&fs::read_to_string(examples.join("own_strategy.yaml")).unwrap(), "");
    fs::write(folder.path().join("fedavgm.py"), example("")).unwrap();
    let output = run(folder.path(), &["run", "experiment.yaml"]);
    assert!(output.status.success(), "{}", said(&output));
}
