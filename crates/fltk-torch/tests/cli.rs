//! Tests of the commands that compute, as a user or a script sees them: outputs, errors, exit codes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{collections::BTreeSet, fs};

use common::{TINY_CENTRAL, TINY_FEDERATED, fltk, json, repository, run};

/// Runs the program, which has to fail with `code`, and returns its error output.
fn refusal(folder: &std::path::Path, args: &[&str], code: i32) -> String {
    let output = run(folder, args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "fltk {args:?}: {said}");
    said
}

#[test]
fn unknown_nets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path(), &["nets", "show", "fashionmnistcnn"], 1).contains("did you mean `FashionMNISTCNN`?"));
}

/// The other program's tests compare its schema with the same file.
#[test]
fn schema_is_that_of_the_program_without_libtorch() {
    let committed = fs::read_to_string(repository().join("docs/experiment.schema.json")).unwrap();
    let committed: serde_json::Value = serde_json::from_str(&committed).unwrap();
    assert!(json(&repository(), &["schema"]) == committed, "run `cargo xtask gen`");
}

#[test]
fn diverging_run_fails_with_its_reason_in_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("wild.yaml"), TINY_FEDERATED.replace("learning_rate: 0.05", "learning_rate: 1.0e+30")).unwrap();
    assert!(refusal(at, &["run", "wild.yaml"], 5).contains("lower the learning rate"));
    let runs = json(at, &["runs", "list", "--output", "json"]);
    assert_eq!(runs[0]["status"], "failed");
}

#[test]
fn nets_show_counts_all_parameters() {
    let folder = tempfile::tempdir().unwrap();
    for (net, trainable) in
        [("FashionMNISTCNN", 29_034), ("Cifar10CNN", 551_466), ("LeNet5", 61_706), ("McMahanCNN", 1_663_370), ("CharLSTM", 815_945)]
    {
        let shown = json(folder.path(), &["nets", "show", net, "--output", "json"]);
        assert_eq!(shown["trainable"], trainable);
        let tensors = shown["tensors"].as_array().unwrap();
        let sum: u64 = tensors.iter().filter(|tensor| tensor["role"] == "parameter").map(|tensor| tensor["count"].as_u64().unwrap()).sum();
        assert_eq!(sum, trainable, "{net}");
    }
}

#[test]
fn run_trains_on_the_printed_split() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), TINY_FEDERATED).unwrap();
    let split = json(at, &["data", "split", "tiny.yaml", "--seed", "3", "--output", "json"]);
    let clients = split[0]["clients"].as_object().unwrap();
    assert_eq!(clients.len(), 40);
    let all: Vec<u64> =
        clients.values().flat_map(|samples| samples.as_array().unwrap().iter().map(|index| index.as_u64().unwrap())).collect();
    assert_eq!(all.len(), 4000);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4000, "every sample belongs to one client");
    // The journal of a run records the number of samples that each client trained on.
    let result = json(at, &["run", "tiny.yaml", "--seed", "3", "--output", "json"]);
    let journal = fs::read_to_string(at.join(result["run"].as_str().unwrap()).join("journal.jsonl")).unwrap();
    let mut trained = 0;
    for line in journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
        if line["event"] == "client_trained" {
            let client = line["client"].as_u64().unwrap().to_string();
            assert_eq!(line["train"]["num_samples"].as_u64().unwrap() as usize, clients[&client].as_array().unwrap().len());
            trained += 1;
        }
    }
    assert_eq!(trained, 5 * 4);
}

#[test]
fn run_prints_one_object_that_agrees_with_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("tiny.yaml"), TINY_CENTRAL).unwrap();
    let result = json(at, &["run", "tiny.yaml", "--output", "json"]);
    assert_eq!(result["kind"], "distributed");
    let steps = result["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 4);
    assert_eq!(result["accuracy"], steps[3]["accuracy"]);
    assert!(result["accuracy"].as_f64().unwrap() > 0.5, "{result}");
    let run_folder = result["run"].as_str().unwrap();

    let shown = json(at, &["runs", "show", run_folder, "--output", "json"]);
    assert_eq!(shown["summary"]["parameters_sha256"], result["parameters_sha256"]);
    assert_eq!(shown["classes"].as_array().unwrap().len(), 10);
    // The schedule halves the rate every two epochs.
    let rates: Vec<f64> = shown["rows"].as_array().unwrap().iter().map(|row| row["learning_rate"].as_f64().unwrap()).collect();
    assert_eq!(rates, [0.001, 0.001, 0.0005, 0.0005]);
    let listed = json(at, &["runs", "list", "--output", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let csv = run(at, &["runs", "export"]);
    assert_eq!(String::from_utf8(csv.stdout).unwrap().lines().count(), 5);
    for name in ["experiment.yaml", "run.json", "journal.jsonl", "metrics.csv"] {
        assert!(at.join(run_folder).join(name).is_file(), "{name}");
    }
    // The final checkpoint is the final model.
    let last = at.join(run_folder).join("checkpoints/epoch-000004/model.safetensors");
    assert!(last.is_file());
}

#[test]
fn lists_and_exports_skip_damaged_runs_and_old_checkpoints_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // A batch of 64 is larger than the data of most of 40 clients.
    let file =
        TINY_FEDERATED.replace("batch_size: 32,", "batch_size: 64, drop_last: true,").replace("checkpoint_every: 2", "checkpoint_every: 1");
    fs::write(at.join("tiny.yaml"), file).unwrap();
    let output = run(at, &["run", "tiny.yaml", "--seed", "1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("of 40 clients have fewer samples than a batch of 64"), "{said}");
    let kept: BTreeSet<String> = fs::read_dir(at.join("runs").join(only_run(at)).join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("round-"))
        .collect();
    assert_eq!(kept, BTreeSet::from(["round-000004".to_owned(), "round-000005".to_owned()]));

    let sound = only_run(at);
    assert!(run(at, &["run", "tiny.yaml", "--seed", "2"]).status.success());
    for entry in fs::read_dir(at.join("runs")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with(&sound) {
            fs::write(path.join("journal.jsonl"), "{}\n{}\n").unwrap();
        }
    }
    let exported = run(at, &["runs", "export"]);
    assert!(exported.status.success());
    assert_eq!(
        String::from_utf8(exported.stdout).unwrap().lines().count(),
        1 + 6,
        "a header, and the rounds of the sound run, counting the evaluation before the first"
    );
    assert!(String::from_utf8(exported.stderr).unwrap().contains("is skipped"));
    let listed = json(at, &["runs", "list", "--status", "finished", "--experiment", "tiny", "--sort", "accuracy", "--output", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(json(at, &["runs", "list", "--task", "other", "--output", "json"]).as_array().unwrap().len(), 0);
    assert_eq!(json(at, &["runs", "list", "--status", "failed", "--output", "json"]).as_array().unwrap().len(), 0);
}

/// The name of the single run in `runs/`.
fn only_run(at: &std::path::Path) -> String {
    let listed = json(at, &["runs", "list", "--output", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    listed[0]["run"].as_str().unwrap().to_owned()
}

#[test]
fn tasks_and_seeds_make_one_run_each_and_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let task = TINY_CENTRAL.split_once("tasks:\n").unwrap().1;
    let second = task.replace("kind: distributed", "name: second\n    kind: distributed");
    let file = format!("name: several\nseeds: [1, 2]\ntasks:\n{task}{second}").replace("epochs: 4", "epochs: 1");
    fs::write(at.join("several.yaml"), file).unwrap();
    let result = json(at, &["run", "several.yaml", "--output", "json"]);
    let runs = result["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4);
    let named: Vec<&str> = runs.iter().map(|run| run["run"].as_str().unwrap()).collect();
    // The same task with the same seed gives the same bits; the second task differs from the first in its name alone.
    assert_eq!(runs[0]["parameters_sha256"], runs[1]["parameters_sha256"]);
    assert_ne!(runs[0]["parameters_sha256"], runs[2]["parameters_sha256"]);
    let compared = json(at, &["runs", "compare", named[0], named[1], named[2], named[3], "--output", "json"]);
    assert_eq!(compared["groups"].as_array().unwrap().len(), 2);
    assert_eq!(compared["groups"][0]["accuracy"]["count"], 2);
}

#[test]
fn parity_trains_on_given_weights_and_batches() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    json(at, &["nets", "init", "MNISTCNN", "--seed", "1", "--out", "w.safetensors", "--output", "json"]);
    let x: Vec<u8> = (0..2 * 28 * 28).flat_map(|i| (i as f32 / 1568.0).to_le_bytes()).collect();
    let y: Vec<u8> = [3_i64, 7].iter().flat_map(|label| label.to_le_bytes()).collect();
    let header =
        r#"{"x":{"dtype":"F32","shape":[2,1,28,28],"data_offsets":[0,6272]},"y":{"dtype":"I64","shape":[2],"data_offsets":[6272,6288]}}"#;
    let padded = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let file = [&(padded.len() as u64).to_le_bytes()[..], padded.as_bytes(), &x, &y].concat();
    fs::write(at.join("b.safetensors"), file).unwrap();
    let optimizer = r#"{"type":"SGD","learning_rate":0.05,"momentum":0.9}"#;
    let args = ["parity", "MNISTCNN", "--weights", "w.safetensors", "--batch", "b.safetensors", "--steps", "5", "--optimizer", optimizer];
    let outcome = json(at, &[&args[..], &["--save", "after.safetensors", "--output", "json"]].concat());
    let losses: Vec<f64> = outcome["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 5);
    assert!(losses[4] < losses[0], "{losses:?}");
    assert!(at.join("after.safetensors").is_file());
}

/// A list among a net's settings survives the way through the run's folder, from which a resume reads it.
#[test]
fn net_with_a_list_of_widths_is_trained_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("mlp.yaml"), TINY_FEDERATED.replace("FashionMNISTCNN", "{ type: MLP, hidden: [16, 8] }")).unwrap();
    let result = json(at, &["run", "mlp.yaml", "--output", "json"]);
    let journal = at.join(result["run"].as_str().unwrap()).join("journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&journal, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let resumed = json(at, &["run", "--resume", result["run"].as_str().unwrap(), "--output", "json"]);
    assert_eq!(resumed["parameters_sha256"], result["parameters_sha256"]);
    // Other widths are another experiment.
    fs::write(&journal, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let settings = journal.with_file_name("experiment.yaml");
    let changed = fs::read_to_string(&settings).unwrap().replacen("16", "17", 1);
    fs::write(&settings, changed).unwrap();
    assert!(refusal(at, &["run", "--resume", result["run"].as_str().unwrap()], 6).contains("began with `network.hidden.0` 16"));
}

#[test]
fn ctrl_c_leaves_a_resumable_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("long.yaml"), TINY_FEDERATED.replace("rounds: 5", "rounds: 5000")).unwrap();
    let mut child = fltk(at).args(["run", "long.yaml"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // The first round is on disk when its line appears.
    let stderr = child.stderr.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
    assert!(lines.any(|line| line.unwrap().contains("1/5000")), "the run ended early");
    let status = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("fltk run --resume")), "{rest:?}");
    assert_eq!(json(at, &["runs", "list", "--output", "json"])[0]["status"], "interrupted");
}

#[test]
fn run_is_not_resumed_on_other_data_and_is_found_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("data")).unwrap();
    let assets = repository().join("crates/fltk-data/assets");
    for entry in fs::read_dir(assets).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".gz") {
            fs::copy(&path, at.join("data").join(&name)).unwrap();
        }
    }
    let dataset = "dataset: { name: fashion-mnist, path: data }";
    fs::write(at.join("local.yaml"), TINY_FEDERATED.replace("dataset: fashion-mnist-mini", dataset)).unwrap();
    let result = json(at, &["run", "local.yaml", "--output", "json"]);
    let run_folder = at.join(result["run"].as_str().unwrap());

    // Without the end of its journal, the run counts as interrupted.
    let journal = fs::read_to_string(run_folder.join("journal.jsonl")).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    fs::write(run_folder.join("journal.jsonl"), lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    std::os::unix::fs::symlink(&run_folder, at.join("link")).unwrap();
    let resumed = json(at, &["run", "--resume", "link", "--output", "json"]);
    assert_eq!(resumed["parameters_sha256"], result["parameters_sha256"]);
    assert_eq!(fs::read_dir(at.join("runs")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 1);

    fs::write(run_folder.join("journal.jsonl"), lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let labels = fs::read_dir(at.join("data")).unwrap().map(|entry| entry.unwrap().path());
    let labels = labels.into_iter().find(|path| path.to_string_lossy().contains("train-labels")).unwrap();
    // The same labels are packed differently: the file has other bytes, so another digest.
    let status = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("gunzip -c {0} | gzip -1 > {0}.new && mv {0}.new {0}", labels.display()))
        .status();
    assert!(status.unwrap().success());
    assert!(refusal(at, &["run", "--resume", run_folder.to_str().unwrap()], 4).contains("not the one that the run began with"));
}

#[test]
fn invalid_model_is_a_failure_even_after_the_last_step() {
    let folder = tempfile::tempdir().unwrap();
    let wild = TINY_CENTRAL
        .replace("type: Adam, learning_rate: 0.001", "type: SGD, learning_rate: 1.0e+30")
        .replace("batch_size: 64", "batch_size: 4000")
        .replace("epochs: 4", "epochs: 1");
    fs::write(folder.path().join("wild.yaml"), wild).unwrap();
    refusal(folder.path(), &["run", "wild.yaml"], 5);
}

#[test]
fn impossible_job_is_refused_before_any_job_begins() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let task = TINY_FEDERATED.split_once("tasks:\n").unwrap().1;
    let impossible = task
        .replace("kind: federated", "name: second\n    kind: federated")
        .replace("{ type: dirichlet, alpha: 0.5 }", "{ type: natural_id }");
    fs::write(at.join("late.yaml"), format!("name: late\ntasks:\n{task}{impossible}")).unwrap();
    refusal(at, &["run", "late.yaml"], 3);
    let no_step = TINY_CENTRAL.replace("batch_size: 64", "batch_size: 4001\n      drop_last: true");
    fs::write(at.join("no-step.yaml"), no_step).unwrap();
    refusal(at, &["run", "no-step.yaml"], 3);
    assert!(!at.join("runs").exists(), "no run was begun");
}
