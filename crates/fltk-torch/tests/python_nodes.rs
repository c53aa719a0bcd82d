//! Tests of federated runs whose net is a module in Python, with the Python that `FLTK_PYTHON` names, which `cargo xtask test` sets.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;
#[path = "support/python.rs"]
mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::repository;
use support::{command, packages, python, run, said};

/// The time in which anything that is waited for happens.
const PATIENCE: Duration = Duration::from_secs(90);

/// A net with buffers, counters and dropout, whose figures show if any of them isn't the same at each node.
const MODEL: &str = "\
from torch import nn


def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(576, 10)
    )
";

const EXPERIMENT: &str = "\
name: python
seeds: [7]
tasks:
  - kind: federated
    network: { python: \"model.py:make_model\" }
    dataset: fashion-mnist-mini
    train: { batch_size: 32, test_batch_size: 500, optimizer: { type: SGD, learning_rate: 0.05, momentum: 0.9 } }
    checkpoint_every: 1
    federated:
      clients: 8
      clients_per_round: 4
      rounds: 3
      epochs_per_round: 1
      partition: { type: dirichlet, alpha: 0.5 }
";

/// Runs the experiment, which has to succeed, and returns its digest.
fn digest(at: &Path, args: &[&str]) -> String {
    let output = run(at, &[&["run", "experiment.yaml", "--output", "json"], args].concat());
    assert!(output.status.success(), "{}", said(&output));
    digest_in(&output.stdout)
}

fn digest_in(json: &[u8]) -> String {
    let result: serde_json::Value = serde_json::from_slice(json).unwrap();
    result["parameters_sha256"].as_str().unwrap().to_owned()
}

/// Returns a folder with the experiment and its code.
fn folder(experiment: &str, model: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("experiment.yaml"), experiment).unwrap();
    fs::write(folder.path().join("model.py"), model).unwrap();
    folder
}

/// Returns the lines of the journal of the only run.
fn journal(at: &Path) -> String {
    let runs: Vec<PathBuf> = fs::read_dir(at.join("runs")).into_iter().flatten().map(|run| run.unwrap().path()).collect();
    let journals = runs.iter().filter_map(|run| fs::read_to_string(run.join("journal.jsonl")).ok());
    journals.collect()
}

/// Waits until `is`, unless `child` ends before; returns false then.
fn wait(child: &mut Child, is: &dyn Fn() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !is() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < until, "nothing happens");
        thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn a_net_in_python_ends_with_the_same_bits_for_any_number_of_nodes_and_workers_and_when_it_was_killed() {
    if python().is_none() {
        return;
    }
    let whole = folder(EXPERIMENT, MODEL);
    let expected = digest(whole.path(), &["--workers", "1"]);
    assert!(journal(whole.path()).contains("\"event\":\"model_initialized\""));
    let two = folder(&EXPERIMENT.replace("clients: 8", "nodes: 2\n      clients: 8"), MODEL);
    assert_eq!(digest(two.path(), &["--workers", "4"]), expected, "two nodes of two workers");
    let killed = folder(EXPERIMENT, MODEL);
    let at = killed.path();
    let args = ["run", "experiment.yaml", "--id", "a", "--workers", "2", "--output", "json"];
    for round in 1..3 {
        let mut child = command(at, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let seen = format!("\"event\":\"round_ended\",\"round\":{round}");
        assert!(wait(&mut child, &|| journal(at).contains(&seen)), "it ended before round {round}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = run(at, &args);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(digest_in(&output.stdout), expected, "killed twice");
    // Another model isn't the run's.
    let changed = folder(EXPERIMENT, MODEL);
    let at = changed.path();
    let mut child = command(at, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(wait(&mut child, &|| journal(at).contains("\"event\":\"round_ended\",\"round\":1")));
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(at.join("model.py"), MODEL.replace("0.2", "0.3")).unwrap();
    let output = run(at, &args);
    assert!(said(&output).contains("the net in Python `") && said(&output).contains("and the run began with"), "{}", said(&output));
}

/// The node's arithmetic is the program's: the same samples in the same order, the same steps and averages.
#[test]
fn a_twin_of_a_net_of_the_catalogue_ends_within_rounding_of_the_programs_own() {
    let Some(python) = python() else { return };
    for (net, twin, more) in
        [("McMahan2NN", "MLP()", ""), ("LogisticRegression", "LogisticRegression()", "      strategy: { type: FedProx, mu: 0.5 }\n")]
    {
        let own = EXPERIMENT.replace("{ python: \"model.py:make_model\" }", net).replace("rounds: 3", "rounds: 2") + more;
        let rust = folder(&own, "");
        digest(rust.path(), &[]);
        let initial = rust.path().join("initial.safetensors");
        let made = run(rust.path(), &["nets", "init", net, "--seed", "7", "--out", initial.to_str().unwrap()]);
        assert!(made.status.success(), "{}", said(&made));
        let load = format!(
            "\n\ndef make_model():\n    import safetensors.torch\n    model = {twin}\n    model.load_state_dict(safetensors.torch.load_file({:?}))\n    return model\n",
            initial.display().to_string()
        );
        let model = fs::read_to_string(repository().join("python/nets.py")).unwrap() + &load;
        let twin = folder(&(EXPERIMENT.replace("rounds: 3", "rounds: 2") + more), &model);
        digest(twin.path(), &[]);
        let script = "\
import glob, sys
import safetensors.torch
first, second = (safetensors.torch.load_file(sorted(glob.glob(at + '/runs/*/checkpoints/*/model.safetensors'))[-1]) for at in sys.argv[1:])
assert first.keys() == second.keys(), (first.keys(), second.keys())
worst = max((first[name] - second[name]).abs().max().item() for name in first)
print(worst)
assert worst < 1e-4, worst
";
        let compared = Command::new(&python).arg("-c").arg(script).arg(rust.path()).arg(twin.path()).output().unwrap();
        assert!(compared.status.success(), "{net}: {}{}", String::from_utf8_lossy(&compared.stdout), said(&compared));
        let accuracy = |at: &Path| -> f64 {
            let lines = journal(at);
            let last = lines.lines().rev().find(|line| line.contains("\"round_ended\"")).unwrap();
            last.split("\"accuracy\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
        };
        assert!((accuracy(rust.path()) - accuracy(twin.path())).abs() < 0.002, "{net}: the same test set");
    }
}

#[test]
fn what_the_code_overrides_is_used() {
    if python().is_none() {
        return;
    }
    let code = MODEL.to_owned()
        + "
import torch
from fltk.node import Client, Evaluation


class Own(Client):
    def make_model(self):
        return nn.Linear(3, 2)

    def data(self, client):
        inputs = torch.randn(64, 3)
        targets = (inputs.sum(1) > 0).long()
        return list(zip(inputs.split(16), targets.split(16)))

    def evaluate(self, model, at_round):
        torch.manual_seed(1)
        inputs = torch.randn(200, 3)
        right = (model(inputs).argmax(1) == (inputs.sum(1) > 0)).float().mean().item()
        return Evaluation(num_samples=200, loss=1.0 + at_round, accuracy=right)
";
    let own = folder(&EXPERIMENT.replace("make_model", "Own").replace("0.05", "0.5"), &code);
    digest(own.path(), &[]);
    let lines = journal(own.path());
    let last = lines.lines().rev().find(|line| line.contains("\"round_ended\"")).unwrap();
    assert!(last.contains("\"loss\":4.0"), "{last}");
    let accuracy: f64 = last.split("\"accuracy\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(accuracy > 0.9, "{last}");
}

#[test]
fn errors_of_the_code_are_told_with_their_last_line_and_are_of_the_settings() {
    if python().is_none() {
        return;
    }
    let check = |experiment: &str, model: &str, expected: &[&str], for_good: bool| {
        let folder = folder(experiment, model);
        let output = run(folder.path(), &["run", "experiment.yaml"]);
        assert!(!output.status.success(), "{}", said(&output));
        for text in expected {
            assert!(said(&output).contains(text), "no `{text}` in {}", said(&output));
        }
        assert_eq!(journal(folder.path()).contains("\"for_good\":true"), for_good, "{}", said(&output));
    };
    check(
        EXPERIMENT,
        "import nothing_of_this_name\n",
        &["the initial model can't be made: ModuleNotFoundError: No module named 'nothing_of_this_name'"],
        true,
    );
    check(EXPERIMENT, "x = 1\n", &["`model.py` has no `make_model`"], true);
    check(EXPERIMENT, "def make_model():\n    return 3\n", &["`make_model` returned int, and a model is a `torch.nn.Module`"], true);
    check(
        EXPERIMENT,
        "import torch\ndef make_model():\n    return torch.nn.Linear(2, 2).double()\n",
        &["`weight` of the model is torch.float64"],
        true,
    );
    check(
        EXPERIMENT,
        &MODEL.replace("576", "577"),
        &["RuntimeError: mat1 and mat2 shapes cannot be multiplied", "Traceback (most recent call last)"],
        true,
    );
    let step = MODEL.to_owned()
        + "\nfrom fltk.node import Client\nclass Own(Client):\n    make_model = staticmethod(make_model)\n    def train_step(self, *anything):\n        raise ValueError('not today')\n";
    check(
        &EXPERIMENT.replace("make_model", "Own"),
        &step,
        &["ValueError: not today", "Traceback (most recent call last)", "in round `1`"],
        true,
    );
    check(&EXPERIMENT.replace("0.05", "1.0e30"), MODEL, &["training diverged"], true);
    check(
        &(EXPERIMENT.to_owned() + "      strategy: { type: SCAFFOLD }\n"),
        MODEL,
        &["`SCAFFOLD` asks clients for more than plain training"],
        false,
    );
    let elsewhere = EXPERIMENT.replace("make_model\" }", "make_model\", environment: nowhere }");
    check(&elsewhere, MODEL, &["can't start a node with the Python `", "nowhere`"], false);
}

/// A worker whose process is killed is an accident of its machine: its order is repeated.
#[test]
fn a_worker_that_is_killed_costs_nothing() {
    if python().is_none() {
        return;
    }
    let expected = digest(folder(EXPERIMENT, MODEL).path(), &[]);
    let flag = tempfile::tempdir().unwrap();
    let fatal = format!(
        "{MODEL}\nimport os, signal\nfrom fltk.node import Client\nclass Own(Client):\n    make_model = staticmethod(make_model)\n    def train(self, model, order):\n        flag = {:?}\n        if not os.path.exists(flag):\n            open(flag, 'w').close()\n            os.kill(os.getpid(), signal.SIGKILL)\n        return super().train(model, order)\n",
        flag.path().join("killed").display().to_string()
    );
    let killed = folder(&EXPERIMENT.replace("make_model", "Own"), &fatal);
    assert_eq!(digest(killed.path(), &["--workers", "2"]), expected);
    assert!(flag.path().join("killed").exists());
}

/// Nodes in other places: they call over TLS, with an invitation and with credentials; and a node of the program is told what it can't do.
#[test]
fn nodes_in_python_join_over_tls() {
    let Some(python) = python() else { return };
    let expected = digest(folder(EXPERIMENT, MODEL).path(), &[]);
    let folder = folder(EXPERIMENT, MODEL);
    let at = folder.path();
    let mut federator = command(
        at,
        &["federate", "experiment.yaml", "--listen", "127.0.0.1:0", "--host", "127.0.0.1", "--invite", "1", "--output", "json"],
    );
    let mut federator = federator.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(federator.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("python -m fltk.node --join https://")).expect("it says how to join");
    thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
    let words: Vec<&str> = line.split_whitespace().collect();
    let node = |program: &str| {
        let mut node = Command::new(&python);
        node.args(&words[1..]).args(["--workers", "1", "--program", program]).env("PYTHONPATH", packages());
        node.env("XDG_CACHE_HOME", at.join("cache")).current_dir(at).stderr(Stdio::piped());
        node
    };
    let own = run(at, &["node", "--join", words[4], "--invitation", "aaaa"]);
    assert!(said(&own).contains("this is no invitation"), "{}", said(&own));
    let nobody = node("no-such-program").output().unwrap();
    assert!(said(&nobody).contains("the program `no-such-program`, which enrolls with an invitation, isn't there"), "{}", said(&nobody));
    let joined = node(common::PROGRAM).output().unwrap();
    assert!(joined.status.success() && said(&joined).contains("the run is complete"), "{}", said(&joined));
    let output = federator.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(digest_in(&output.stdout), expected);
}

#[test]
fn the_examples_train() {
    if python().is_none() {
        return;
    }
    let examples = repository().join("examples/python");
    let text = |name: &str| fs::read_to_string(examples.join(name)).unwrap();
    for (file, name) in [("model.py", "make_model"), ("own_client.py", "Cautious")] {
        let experiment =
            text("experiment.yaml").replace("model.py:make_model", &format!("{file}:{name}")).replace("rounds: 5", "rounds: 2");
        let folder = folder(&experiment, "");
        fs::write(folder.path().join(file), text(file)).unwrap();
        digest(folder.path(), &[]);
        let lines = journal(folder.path());
        let accuracies: Vec<f64> =
            lines.split("\"accuracy\":").skip(1).map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect();
        assert!(accuracies.len() == 3 && accuracies[2] > accuracies[0] + 0.1, "{file}: {accuracies:?}");
    }
}
