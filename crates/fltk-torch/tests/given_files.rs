//! Tests of runs whose partition and selection are read from files: they train what the files say, and are resumed with these files only.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../fltk/tests/common/mod.rs"]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{TINY_FEDERATED, json, run};
use serde_json::{Value as Json, json as value};

const COHORTS: [[u32; 4]; 5] = [[3, 1, 0, 2], [39, 1, 2, 3], [7, 8, 9, 10], [0, 1, 2, 3], [20, 30, 25, 35]];

/// Writes a run with files into `at`: the partition that [`TINY_FEDERATED`] has with seed 42, and the [`COHORTS`].
fn write_files(at: &Path) {
    fs::write(at.join("tiny.yaml"), TINY_FEDERATED).unwrap();
    let split = json(at, &["data", "split", "tiny.yaml", "--output", "json"]);
    fs::create_dir(at.join("lists")).unwrap();
    fs::write(at.join("lists/split.json"), split.to_string()).unwrap();
    fs::write(at.join("lists/cohorts.json"), value!({ "cohorts": COHORTS }).to_string()).unwrap();
    let given = TINY_FEDERATED.replace(
        "partition: { type: dirichlet, alpha: 0.5 }",
        "partition: { type: file, path: lists/split.json }\n      selection: { type: file, path: lists/cohorts.json }",
    );
    fs::write(at.join("given.yaml"), given).unwrap();
}

fn events(run: &Path) -> Vec<Json> {
    fs::read_to_string(run.join("journal.jsonl")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run_of(at: &Path, result: &Json) -> PathBuf {
    at.join(result["run"].as_str().unwrap())
}

/// Cuts the run's journal after its first saved checkpoint, as if the run had been killed then.
fn interrupt(run: &Path) {
    let file = run.join("journal.jsonl");
    let journal = fs::read_to_string(&file).unwrap();
    let end = journal.find("\"checkpoint_saved\"").unwrap();
    let end = end + journal[end..].find('\n').unwrap() + 1;
    fs::write(&file, &journal[..end]).unwrap();
}

#[track_caller]
fn check_refused(at: &Path, args: &[&str], code: i32, words: &[&str]) {
    let output = run(at, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
}

#[test]
fn printed_split_as_a_file_trains_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_files(at);
    let from_file = TINY_FEDERATED.replace("{ type: dirichlet, alpha: 0.5 }", "{ type: file, path: lists/split.json }");
    fs::write(at.join("file.yaml"), from_file).unwrap();
    let digest = |file: &str| json(at, &["run", file, "--output", "json"])["parameters_sha256"].clone();
    assert_eq!(digest("file.yaml"), digest("tiny.yaml"));
    // It is the same split again, and `data show` measures the same.
    let split = |file: &str| json(at, &["data", "split", file, "--output", "json"])[0]["clients"].clone();
    assert_eq!(split("file.yaml"), split("tiny.yaml"));
    let shown = |partition: &str| {
        json(at, &["data", "show", "fashion-mnist-mini", "--partition", partition, "--clients", "40", "--output", "json"])["partition"]
            .clone()
    };
    assert_eq!(shown("{ type: file, path: lists/split.json }"), shown("{ type: dirichlet, alpha: 0.5 }"));
}

#[test]
fn given_cohorts_train_in_their_rounds_with_the_same_bits_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_files(at);
    let result = json(at, &["run", "given.yaml", "--workers", "1", "--output", "json"]);
    let run_folder = run_of(at, &result);
    let mut trained = vec![Vec::new(); 5];
    for event in events(&run_folder).iter().filter(|event| event["event"] == "client_trained") {
        trained[event["round"].as_u64().unwrap() as usize - 1].push(event["client"].as_u64().unwrap() as u32);
    }
    for (trained, cohort) in trained.iter_mut().zip(COHORTS) {
        trained.sort_unstable();
        let mut cohort = cohort.to_vec();
        cohort.sort_unstable();
        assert_eq!(*trained, cohort);
    }
    let digest = &result["parameters_sha256"];
    assert_eq!(json(at, &["run", "given.yaml", "--workers", "3", "--output", "json"])["parameters_sha256"], *digest);

    // What it began with is recorded.
    let described: Json = serde_json::from_str(&fs::read_to_string(run_folder.join("run.json")).unwrap()).unwrap();
    let recorded = described["files_sha256"].as_object().unwrap();
    assert_eq!(recorded.keys().collect::<Vec<_>>(), ["federated.partition.path", "federated.selection.path"]);
    for (setting, name) in [("federated.partition.path", "lists/split.json"), ("federated.selection.path", "lists/cohorts.json")] {
        assert_eq!(recorded[setting], fltk_data::digest::sha256_hex(&fs::read(at.join(name)).unwrap()), "{setting}");
    }

    // Another file is refused, and nothing is written; the same content at another place isn't another file.
    interrupt(&run_folder);
    let (path, before) = (run_folder.to_str().unwrap(), events(&run_folder));
    for name in ["lists/split.json", "lists/cohorts.json"] {
        let text = fs::read_to_string(at.join(name)).unwrap();
        fs::write(at.join(name), format!("{text} ")).unwrap();
        check_refused(at, &["run", "--resume", path], 6, &[name, "has SHA-256", "and the run began with", "hint: restore it"]);
        fs::remove_file(at.join(name)).unwrap();
        check_refused(at, &["run", "--resume", path], 3, &["can't read", name]);
        fs::write(at.join(name), text).unwrap();
    }
    assert_eq!(events(&run_folder), before);
    fs::rename(at.join("lists"), at.join("moved")).unwrap();
    let file = run_folder.join("experiment.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("/lists/").count(), 2, "{text}");
    fs::write(&file, text.replace("/lists/", "/moved/")).unwrap();
    assert_eq!(json(at, &["run", "--resume", path, "--output", "json"])["parameters_sha256"], *digest);
}

#[test]
fn files_that_do_not_fit_are_refused_before_a_run_begins() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_files(at);
    let split: Json = serde_json::from_str(&fs::read_to_string(at.join("lists/split.json")).unwrap()).unwrap();
    let check = |name: &str, content: &str, words: &[&str]| {
        let before = fs::read(at.join(name)).unwrap();
        fs::write(at.join(name), content).unwrap();
        check_refused(at, &["run", "given.yaml"], 3, &[&[name], words].concat());
        fs::write(at.join(name), before).unwrap();
    };
    let mut doubled = split.clone();
    doubled[0]["clients"]["7"] = doubled[0]["clients"]["8"].clone();
    check("lists/split.json", &doubled.to_string(), &["clients[8][0]: sample ", "is already in clients[7][0]"]);
    let mut other = split;
    other[0]["labels_digest"] = "00".into();
    check("lists/split.json", &other.to_string(), &["labels_digest: is that of other labels"]);
    check("lists/split.json", "{\"clients\": [[0],\n [1, x]]}", &["line 2, column 6: expected value"]);
    let mut cohorts = COHORTS;
    cohorts[4][3] = 40;
    check("lists/cohorts.json", &value!({ "cohorts": cohorts }).to_string(), &["cohorts[4][3]: there is no client 40"]);
    cohorts[4][3] = 20;
    check("lists/cohorts.json", &value!({ "cohorts": cohorts }).to_string(), &["cohorts[4][3]: client 20 is already in this round"]);
    check("lists/cohorts.json", &value!({ "cohorts": COHORTS[..4] }).to_string(), &["cohorts: its length is 4, and the task has 5 rounds"]);
    assert!(!at.join("runs").exists(), "nothing is written");
}

#[test]
fn feature_noise_changes_what_clients_learn_and_nothing_else_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let digest = |noise: &str, workers: &str| {
        fs::write(at.join("noisy.yaml"), format!("{TINY_FEDERATED}      feature_noise: {noise}\n")).unwrap();
        json(at, &["run", "noisy.yaml", "--workers", workers, "--output", "json"])
    };
    let result = digest("0.1", "1");
    let noisy = &result["parameters_sha256"];
    assert_eq!(digest("0.1", "3")["parameters_sha256"], *noisy);
    assert_ne!(digest("0.2", "1")["parameters_sha256"], *noisy);
    fs::write(at.join("plain.yaml"), TINY_FEDERATED).unwrap();
    let plain = &json(at, &["run", "plain.yaml", "--output", "json"])["parameters_sha256"];
    assert_eq!(digest("0", "1")["parameters_sha256"], *plain);
    assert_ne!(plain, noisy);
    let run_folder = run_of(at, &result);
    interrupt(&run_folder);
    assert_eq!(json(at, &["run", "--resume", run_folder.to_str().unwrap(), "--output", "json"])["parameters_sha256"], *noisy);
}
