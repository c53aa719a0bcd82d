//! Folders that earlier versions wrote are read, and found by the name that they were started with: `tests/data`.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use fltk_catalogue::catalogues;
use fltk_core::experiment::Experiment;
use fltk_experiment::{SourceFile, parse};
use fltk_records::{RunError, RunFolder, RunRef, StreamFolder, compare::compare, history::Status, index, named};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Every version that has folders in `tests/data`.
const VERSIONS: [&str; 1] = ["0.1.0"];

fn data(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version)
}

fn text(file: &str) -> String {
    fs::read_to_string(data("0.1.0").join("files").join(file)).unwrap()
}

fn experiment(text: &str) -> Experiment {
    let source = SourceFile { name: "test".to_owned(), text: text.to_owned() };
    parse(&[source], &[], catalogues()).unwrap_or_else(|report| panic!("{report}")).experiment
}

/// Parses an experiment like one of fltk's own records.
fn recorded(text: &str) -> Experiment {
    experiment(text).with_earliest_defaults()
}

fn names(runs: &[RunFolder]) -> Vec<String> {
    runs.iter().map(RunFolder::name).collect()
}

/// A folder of runs with a copy of the run of `data` whose name has this prefix.
fn copy_of(begins_with: &str) -> (TempDir, RunFolder) {
    let root = tempfile::tempdir().unwrap();
    let run = copy(root.path(), begins_with);
    (root, run)
}

fn copy(root: &Path, begins_with: &str) -> RunFolder {
    let runs = RunFolder::list(&data("0.1.0").join("runs")).unwrap();
    let from = runs.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(begins_with)).unwrap();
    let to = root.join(from.file_name().unwrap());
    fs::create_dir(&to).unwrap();
    for file in ["experiment.yaml", "run.json", "journal.jsonl"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    RunFolder::open(to).unwrap()
}

/// Changes fields of its `run.json`; null removes a field.
fn describe(run: &RunFolder, fields: Json) {
    let path = run.path().join("run.json");
    let mut json: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        json[name] = value.clone();
    }
    json.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
}

/// Computes the id that the version that wrote `yaml` gives to a group started as `name`.
fn id_of(name: &str, yaml: &str) -> String {
    hex::encode(&Sha256::digest(format!("named/{name}/{yaml}"))[..8])
}

fn find(root: &Path, name: &str, experiment: &Experiment) -> Vec<String> {
    names(&named::runs(root, name, experiment, catalogues()).unwrap())
}

#[test]
fn folders_of_earlier_versions_are_read() {
    for version in VERSIONS {
        let root = data(version).join("runs");
        let runs: Vec<RunRef> =
            RunFolder::list(&root).unwrap().into_iter().map(|path| RunFolder::open(path).unwrap().read().unwrap()).collect();
        assert!(runs.iter().any(|run| run.status == Status::Finished) && runs.iter().any(|run| run.status == Status::Interrupted));
        for run in &runs {
            let experiment = run.folder.experiment(catalogues()).unwrap();
            let description = run.folder.description();
            assert_eq!(experiment.tasks[description.task_index as usize].name, description.task);
            assert_eq!(description.fltk_version, version);
            if run.status == Status::Finished {
                assert!(run.history.last_evaluated().is_some());
            }
        }
        let comparison = compare(&runs);
        assert_eq!(comparison.runs.len(), runs.len());
        assert!(comparison.groups.iter().all(|group| group.runs.len() == 1 && group.repeated.is_empty()));
        let elsewhere = tempfile::tempdir().unwrap();
        let copied = copy(elsewhere.path(), "solo-");
        let listed = index::list(elsewhere.path(), None, &index::Filter::default(), index::Sort::default()).unwrap();
        assert_eq!((listed.runs.len(), listed.skipped.len()), (1, 0));
        assert_eq!(listed.runs[0].run, copied.name());
        for path in StreamFolder::list(&root).unwrap() {
            let stream = StreamFolder::open(path).unwrap();
            assert_eq!(stream.experiment(catalogues()).unwrap().name, stream.description().experiment);
        }
    }
}

#[test]
fn runs_are_found_by_their_name_and_file() {
    let root = data("0.1.0").join("runs");
    for (name, file, num_runs) in [("solo-1", "solo.yaml", 1), ("grid-1", "grid.yaml", 2), ("pair-1", "pair.yaml", 1)] {
        let experiment = experiment(&text(file));
        let found = named::runs(&root, name, &experiment, catalogues()).unwrap();
        assert_eq!(found.len(), num_runs, "{name}");
        assert!(found.iter().all(|run| run.experiment(catalogues()).unwrap() == experiment.clone().with_earliest_defaults()), "{name}");
        // Neither another name nor another experiment finds it.
        assert_eq!(find(&root, "other", &experiment), [""; 0]);
        let mut other = experiment.clone();
        other.tasks[0].training_mut().unwrap().checkpoint_every += 1;
        assert_eq!(find(&root, name, &other), [""; 0]);
    }
}

#[test]
fn omitted_and_explicit_defaults_are_equal() {
    let minimal = text("grid.yaml");
    let same = experiment(&minimal);
    let (root, run) = copy_of("grid-");
    let resolved = run.experiment_yaml().unwrap();
    assert!(resolved.contains("test_batch_size") && !minimal.contains("test_batch_size"));
    let check = |run_id: &str, yaml: &str, group_name: Option<&str>| {
        fs::write(run.path().join("experiment.yaml"), yaml).unwrap();
        describe(&run, json!({ "group": run_id, "group_name": group_name }));
        assert_eq!(find(root.path(), "grid-1", &same), [run.name()], "{yaml}");
        let mut other = same.clone();
        other.tasks[1].training_mut().unwrap().train.batch_size += 1;
        assert_eq!(find(root.path(), "grid-1", &other), [""; 0]);
        assert_eq!(find(root.path(), "grid-2", &same), [""; 0]);
    };
    // Written by versions that lack some of today's settings: the group is found by its digest, then by its name.
    for yaml in [&minimal, &minimal.replace("name: grid", "# Once.\nname: \"grid\""), &resolved, &format!("{resolved}\n# Twice.\n")] {
        check(&id_of("grid-1", yaml), yaml, None);
        check("0123456789abcdef", yaml, Some("grid-1"));
    }
    // The file states a default explicitly.
    let said = minimal.replacen("kind: federated", "kind: federated\n    threads: 1\n    loss: CrossEntropyLoss", 1);
    assert_eq!(experiment(&said), same);
}

#[test]
fn settings_of_earlier_files_keep_their_meaning() {
    // One file is as a user wrote it, the other as 0.1.0 resolved it, with every setting of that version.
    assert_eq!(experiment(&text("settings.yaml")), experiment(&text("settings-resolved.yaml")));
    for run in RunFolder::list(&data("0.1.0").join("runs")).unwrap() {
        let run = RunFolder::open(run).unwrap();
        let file = format!("{}.yaml", run.description().experiment);
        let mut of_file = recorded(&text(&file));
        if of_file.stream.is_some() {
            of_file.tasks.retain(|task| task.name == run.description().task);
            (of_file.seeds, of_file.stream) = (vec![run.description().seed], None);
        }
        assert_eq!(run.experiment(catalogues()).unwrap(), of_file, "{}", run.name());
    }
}

#[test]
fn group_of_two_versions_is_one_group() {
    let (root, first) = copy_of("grid-");
    let second =
        RunFolder::list(&data("0.1.0").join("runs")).unwrap().into_iter().filter(|path| path.to_str().unwrap().contains("/grid-")).nth(1);
    let second = copy(root.path(), second.unwrap().file_name().unwrap().to_str().unwrap());
    // The second job was started by a version with a different `experiment.yaml`, which took over the group and recorded its name; or a
    // person resumed it with `--resume`.
    for group_name in [json!("grid-1"), Json::Null] {
        fs::write(second.path().join("experiment.yaml"), text("grid.yaml")).unwrap();
        describe(&second, json!({ "group_name": group_name }));
        let experiment = experiment(&text("grid.yaml"));
        assert_eq!(find(root.path(), "grid-1", &experiment), [first.name(), second.name()]);
    }
}

#[test]
fn unreadable_folder_blocks_only_its_own_name() {
    let (root, run) = copy_of("solo-");
    let experiment = experiment(&text("solo.yaml"));
    let later = run.experiment_yaml().unwrap().replace("threads: 1", "threads: 1\n    gravity: 9.81");
    fs::write(run.path().join("experiment.yaml"), &later).unwrap();
    for (group, name) in [("00", Some("solo-1")), (&*id_of("solo-1", &later), None)] {
        describe(&run, json!({ "group": group, "group_name": name, "fltk_version": "7.0.0" }));
        let error = named::runs(root.path(), "solo-1", &experiment, catalogues()).unwrap_err();
        assert!(matches!(error, RunError::Experiment { .. }));
        let said = error.to_string();
        assert!([&run.name(), "gravity", "fltk 7.0.0 wrote it"].iter().all(|words| said.contains(words)), "{said}");
        assert_eq!(find(root.path(), "solo-2", &experiment), [""; 0]);
    }
    // A file that isn't valid UTF-8 is also an error.
    describe(&run, json!({ "group_name": "solo-1" }));
    fs::write(run.path().join("experiment.yaml"), [0xff]).unwrap();
    named::runs(root.path(), "solo-1", &experiment, catalogues()).unwrap_err();
    // In a file of a future format only the name is known.
    fs::write(run.path().join("run.json"), r#"{ "format": 2, "group_name": "solo-1" }"#).unwrap();
    assert!(matches!(named::runs(root.path(), "solo-1", &experiment, catalogues()), Err(RunError::Newer { .. })));
    // If `run.json` itself is damaged, it can't be known whose run it is.
    for damaged in ["{", r#"{ "format": 2, "group_name": "solo-2" }"#, r#"{ "format": 2 }"#] {
        fs::write(run.path().join("run.json"), damaged).unwrap();
        assert_eq!(find(root.path(), "solo-1", &experiment), [""; 0]);
    }
    assert_eq!(find(&root.path().join("nowhere"), "solo-1", &experiment), [""; 0]);
}

#[test]
fn experiments_of_the_same_name_have_separate_groups() {
    let (root, first) = copy_of("solo-");
    let yaml = first.experiment_yaml().unwrap();
    let other_yaml = yaml.replace("rounds: 2", "rounds: 3");
    assert_ne!(yaml, other_yaml);
    let path = root.path().join("solo-20990101-000000-00000000");
    fs::rename(first.path(), &path).unwrap();
    let second = RunFolder::open(&path).unwrap();
    fs::write(path.join("experiment.yaml"), &other_yaml).unwrap();
    describe(&second, json!({ "group": id_of("solo-1", &other_yaml), "group_name": "solo-1" }));
    let first = copy(root.path(), "solo-");
    assert_eq!(find(root.path(), "solo-1", &experiment(&yaml)), [first.name()]);
    assert_eq!(find(root.path(), "solo-1", &experiment(&other_yaml)), [second.name()]);
    // Started by two versions at the same moment: both agree on the later one.
    fs::write(path.join("experiment.yaml"), text("solo.yaml")).unwrap();
    describe(&second, json!({ "group": "0123456789abcdef" }));
    describe(&first, json!({ "group": "fedcba9876543210", "group_name": "solo-1" }));
    assert_eq!(find(root.path(), "solo-1", &experiment(&yaml)), [second.name()]);
}
