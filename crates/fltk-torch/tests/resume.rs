//! Tests of resuming runs: of the run in the named folder, and only with the settings, the net and the checkpoint that it had.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{json, repository, run};
use fltk_records::CHANGES_NOTHING;
use serde_json::Value as Json;

const TWO_EPOCHS: &str = "\
name: two
tasks:
  - kind: distributed
    network: LeNet5
    dataset: fashion-mnist-mini
    train: { batch_size: 64, optimizer: { type: SGD, learning_rate: 0.05 } }
    checkpoint_every: 1
    distributed: { epochs: 2 }
";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn refused(at: &Path, args: &[&str], code: i32, words: &[&str]) {
    let output = run(at, args);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "fltk {args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "fltk {args:?}: no `{word}` in {said}");
    }
}

/// Trains `experiment` with `more` arguments; returns its first run's folder and digest.
fn trained(at: &Path, experiment: &str, more: &[&str]) -> (PathBuf, String) {
    fs::write(at.join("two.yaml"), experiment).unwrap();
    let result = json(at, &[&["run", "two.yaml", "--output", "json"], more].concat());
    let first = result.get("runs").map_or(&result, |runs| &runs[0]);
    (at.join(first["run"].as_str().unwrap()), first["parameters_sha256"].as_str().unwrap().to_owned())
}

fn journal(run: &Path) -> String {
    fs::read_to_string(run.join("journal.jsonl")).unwrap()
}

/// Cuts the run's journal after its first saved checkpoint, as if the run had been killed then.
fn interrupt(run: &Path) {
    let journal = journal(run);
    let end = journal.find("\"checkpoint_saved\"").unwrap();
    let end = end + journal[end..].find('\n').unwrap() + 1;
    fs::write(run.join("journal.jsonl"), &journal[..end]).unwrap();
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

fn resumed(at: &Path, run: &str) -> Json {
    json(at, &["run", "--resume", run, "--output", "json"])
}

#[test]
fn only_the_named_folder_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (original, digest) = trained(at, TWO_EPOCHS, &["--id", "a"]);
    interrupt(&original);
    let copied = at.join("runs/copy");
    copy(&original, &copied);
    symlink(&original, at.join("runs/zlink")).unwrap();
    let (name, of_copy) = (original.file_name().unwrap().to_str().unwrap(), journal(&copied));
    for named in [format!("runs/{name}/"), "runs/zlink".to_owned(), name.to_owned()] {
        let result = resumed(at, &named);
        assert_eq!(result["parameters_sha256"], digest, "{named}");
        assert!(result["run"].as_str().unwrap().ends_with(name), "{result}");
        assert_eq!(journal(&copied), of_copy, "{named}");
        interrupt(&original);
    }
    // The copy resumes when the copy is named.
    let of_original = journal(&original);
    assert_eq!(resumed(at, "copy")["parameters_sha256"], digest);
    assert!(journal(&copied).len() > of_copy.len());
    assert_eq!(journal(&original), of_original);
    // By its `--id`, the run is the folder that still has its original name; if neither of two folders has it, both are refused.
    assert!(json(at, &["run", "two.yaml", "--id", "a", "--output", "json"])["run"].as_str().unwrap().ends_with(name));
    fs::rename(&original, at.join("runs/moved")).unwrap();
    fs::remove_file(at.join("runs/zlink")).unwrap();
    refused(at, &["run", "two.yaml", "--id", "a"], 6, &["runs/copy", "runs/moved"]);
    // For a second job of the same group, it can't be determined which of two folders is meant.
    let (first, _) = trained(at, &TWO_EPOCHS.replace("tasks:", "seeds: [1, 2]\ntasks:"), &["--id", "b", "--runs", "pair"]);
    let paths = fs::read_dir(at.join("pair")).unwrap().map(|entry| entry.unwrap().path());
    let second = paths.into_iter().find(|path| path.join("run.json").exists() && *path != first).unwrap();
    copy(&second, &at.join("pair/one"));
    fs::rename(&second, at.join("pair/two")).unwrap();
    interrupt(&first);
    interrupt(&at.join("pair/one"));
    let before = journal(&first);
    refused(at, &["run", "--resume", first.to_str().unwrap()], 6, &["pair/one", "pair/two"]);
    assert_eq!(journal(&first), before);
}

#[test]
fn resumed_run_keeps_settings_that_change_results() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (run, _) = trained(at, TWO_EPOCHS, &[]);
    interrupt(&run);
    let (file, before) = (run.join("experiment.yaml"), journal(&run));
    let begun = fs::read_to_string(&file).unwrap();
    let resume = ["run", "--resume", run.to_str().unwrap()];
    for (old, new, words) in [
        ("learning_rate: 0.05", "learning_rate: 0.06", ["`train.optimizer.learning_rate` 0.05", "now says 0.06"]),
        ("batch_size: 64", "batch_size: 65", ["`train.batch_size` 64", "now says 65"]),
        ("epochs: 2", "epochs: 3", ["`distributed.epochs` 2", "now says 3"]),
        ("- 42", "- 43", ["`seeds` 42", "now says 43"]),
    ] {
        let changed = begun.replacen(old, new, 1);
        assert_ne!(changed, begun, "{old}");
        fs::write(&file, changed).unwrap();
        refused(at, &resume, 6, &words);
        // A rank that a launcher starts checks it too.
        refused(at, &["client", "--run", run.to_str().unwrap()], 6, &words);
    }
    assert_eq!(journal(&run), before);
}

#[test]
fn resumed_run_may_have_other_settings_that_change_no_results() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for place in ["old", "new"] {
        copy(&repository().join("crates/fltk-data/assets"), &at.join(place));
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plain.pt"), at.join(place).join("net.pt")).unwrap();
    }
    let experiment = TWO_EPOCHS
        .replace("network: LeNet5", "network: { torchscript: old/net.pt }")
        .replace("dataset: fashion-mnist-mini", "dataset: { name: fashion-mnist-mini, path: old }")
        .replace("epochs: 2", "epochs: 2, restarts: 1, timeout: 30min, checkpoint_every_steps: 40");
    let (run, digest) = trained(at, &experiment, &[]);
    interrupt(&run);
    let file = run.join("experiment.yaml");
    let mut text = fs::read_to_string(&file).unwrap();
    fs::remove_dir_all(at.join("old")).unwrap();
    for name in CHANGES_NOTHING {
        let (old, new) = match *name {
            "dataset.path" => ("/old\n", "/new\n"),
            "network.torchscript" => ("/old/net.pt", "/new/net.pt"),
            "distributed.restarts" => ("restarts: 1", "restarts: 0"),
            "distributed.timeout" => ("timeout: 30", "timeout: 20"),
            "distributed.checkpoint_every_steps" => ("checkpoint_every_steps: 40", "checkpoint_every_steps: 17"),
            // This task is not federated: `given_files.rs` and `virtual_time.rs` move these files, and `nodes.rs` has other nodes and imposed links.
            // `python_nodes.rs` moves nets in Python.
            "federated.nodes" | "federated.simulation.impose_links" | "network.python" | "network.environment" => continue,
            // `python_strategy.rs` moves strategies in Python.
            "federated.strategy.python" | "federated.strategy.environment" => continue,
            name if name.starts_with("federated.") && name.ends_with(".path") => continue,
            // Nor is it a program: `crates/fltk/tests/command.rs` goes on with those.
            name if name.starts_with("command.") => continue,
            other => panic!("nobody has tried that `{other}` changes nothing"),
        };
        let changed = text.replacen(old, new, 1);
        assert_ne!(changed, text, "{name}");
        text = changed;
    }
    fs::write(&file, text).unwrap();
    assert_eq!(resumed(at, run.to_str().unwrap())["parameters_sha256"], digest);
}

/// The recording process checks that: alone, with other ranks, and with clients.
#[test]
fn checkpoint_of_another_run_leaves_the_journal_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let ranks = TWO_EPOCHS.replace("epochs: 2", "epochs: 2, data_parallelism: 2");
    let rounds = TWO_EPOCHS.replace("kind: distributed", "kind: federated");
    let rounds = rounds.replace("distributed: { epochs: 2 }", "federated: { clients: 2, clients_per_round: 2, rounds: 2 }");
    for (experiment, first) in [(TWO_EPOCHS, "epoch-000001"), (&ranks, "epoch-000001"), (&rounds, "round-000001")] {
        let (other, _) = trained(at, &experiment.replace("0.05", "0.06"), &[]);
        let (of_other_net, _) = trained(at, &experiment.replace("LeNet5", "FashionMNISTCNN"), &[]);
        let (run, digest) = trained(at, experiment, &[]);
        interrupt(&run);
        let (checkpoint, own, before) = (run.join("checkpoints").join(first), at.join("own"), journal(&run));
        fs::rename(&checkpoint, &own).unwrap();
        for (from, words) in [(&other, ["have SHA-256", "the journal says"]), (&of_other_net, ["can't resume", "model.safetensors"])] {
            copy(&from.join("checkpoints").join(first), &checkpoint);
            refused(at, &["run", "--resume", run.to_str().unwrap()], 6, &words);
            assert_eq!(journal(&run), before, "{experiment}");
            fs::remove_dir_all(&checkpoint).unwrap();
        }
        fs::rename(&own, &checkpoint).unwrap();
        assert_eq!(resumed(at, run.to_str().unwrap())["parameters_sha256"], digest, "{experiment}");
    }
}

#[test]
fn foreign_checkpoints_and_modules_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let module = at.join("net.pt");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plain.pt"), &module).unwrap();
    let experiment = TWO_EPOCHS.replace("network: LeNet5", "network: { torchscript: net.pt }");
    let (other, _) = trained(at, &experiment.replace("0.05", "0.06"), &[]);
    let (run, digest) = trained(at, &experiment, &[]);
    interrupt(&run);
    let resume = ["run", "--resume", run.to_str().unwrap()];
    let first = "checkpoints/epoch-000001";
    fs::rename(run.join(first), at.join("own")).unwrap();
    copy(&other.join(first), &run.join(first));
    refused(at, &resume, 6, &["have SHA-256", "the journal says"]);
    fs::remove_dir_all(run.join(first)).unwrap();
    fs::rename(at.join("own"), run.join(first)).unwrap();
    // The module has another digest, due to extra bytes that have no effect.
    let bytes = fs::read(&module).unwrap();
    fs::write(&module, [b"x".as_slice(), &bytes].concat()).unwrap();
    refused(at, &resume, 6, &["net.pt` has SHA-256", "the run began with"]);
    // The module is within the folder of the run, where the person who gave the folder away may have put it.
    fs::write(run.join("net.pt"), &bytes).unwrap();
    fs::remove_file(&module).unwrap();
    symlink(run.join("net.pt"), &module).unwrap();
    refused(at, &resume, 3, &["lies within a folder of records", "--trust-module"]);
    refused(at, &["run", "two.yaml"], 3, &["--trust-module"]);
    let result = json(at, &[&resume[..], &["--trust-module", "--output", "json"]].concat());
    assert_eq!(result["parameters_sha256"], digest);
}

/// The running statistics of a module's batch norms, and the batches that they have counted, are part of a checkpoint.
#[test]
fn a_module_with_buffers_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/statistics.pt"), at.join("net.pt")).unwrap();
    let alone = TWO_EPOCHS.replace("network: LeNet5", "network: { torchscript: net.pt }");
    let ranks = alone.replace("epochs: 2", "epochs: 2, data_parallelism: 2");
    let rounds = alone.replace("kind: distributed", "kind: federated");
    let rounds = rounds.replace("distributed: { epochs: 2 }", "federated: { clients: 2, clients_per_round: 2, rounds: 2 }");
    for experiment in [alone, ranks, rounds] {
        let (run, digest) = trained(at, &experiment, &[]);
        interrupt(&run);
        assert_eq!(resumed(at, run.to_str().unwrap())["parameters_sha256"], digest);
    }
}

#[test]
fn modules_are_plain_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let experiment = |module: &str| fs::write(at.join("two.yaml"), TWO_EPOCHS.replace("LeNet5", &format!("{{ torchscript: {module} }}")));
    assert!(Command::new("mkfifo").arg(at.join("pipe")).status().unwrap().success());
    for module in ["pipe", "/dev/zero", "."] {
        experiment(module).unwrap();
        refused(at, &["run", "two.yaml"], 3, &["it is not a plain file"]);
    }
    assert!(!at.join("runs").exists(), "nothing is begun");
}
