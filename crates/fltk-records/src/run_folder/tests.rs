use fltk_catalogue::catalogues;

use super::*;
use crate::samples::{at, description, exp, finished, folder, recorded, round, saved, started};

fn derived(folder: &RunFolder) -> Vec<(String, Vec<u8>)> {
    let names = files::names_in(folder.path(), 100).unwrap();
    let is_derived = |name: &String| name == "metrics.csv" || name.starts_with("events.out.tfevents.");
    names.into_iter().filter(is_derived).map(|name| (name.clone(), std::fs::read(folder.path().join(name)).unwrap())).collect()
}

fn rebuild(run: &RunFolder) {
    run.derive("a test").unwrap();
}

#[test]
fn new_folder_is_complete_and_can_be_opened() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("a/runs");
    let made = folder(&runs, 7);
    assert_eq!(made.name(), "exp-20260102-030405-00000007");
    assert_eq!(files::names_in(made.path(), 10).unwrap(), ["checkpoints", "experiment.yaml", "journal.jsonl", "lock", "run.json"]);
    assert_eq!(files::names_in(&runs, 10).unwrap(), [made.name()]);
    let opened = RunFolder::open(made.path()).unwrap();
    assert_eq!(opened, made);
    assert_eq!(opened.experiment_yaml().unwrap(), "name: exp\n");
    assert_eq!(RunFolder::find(&runs, Path::new(&made.name())).unwrap(), made);
    assert_eq!(RunFolder::find(Path::new("nowhere"), made.path()).unwrap(), made);

    let again = RunFolder::create(&runs, &exp(), at(0), "00000007", "", &description(7));
    assert!(matches!(again, Err(RunError::Exists { path }) if path == made.path()));
}

#[test]
fn names_outside_the_folder_and_unreadable_values_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for id in ["../00", "AB", "", &"0".repeat(33)] {
        let error = RunFolder::create(root.path(), &exp(), at(0), id, "", &description(1)).unwrap_err();
        assert!(matches!(error, RunError::Id { .. }), "{error}");
    }
    let mut run = description(1);
    run.group = "../../etc".into();
    let error = RunFolder::create(root.path(), &exp(), at(0), "00", "", &run).unwrap_err();
    assert!(matches!(error, RunError::Description { .. }), "{error}");
    let huge = "#".repeat(EXPERIMENT_BYTES_MAX as usize + 1);
    let error = RunFolder::create(root.path(), &exp(), at(0), "00", &huge, &description(1)).unwrap_err();
    assert!(matches!(error, RunError::File(FileError::TooLarge { .. })), "{error}");
    assert!(files::names_in(root.path(), 10).unwrap().is_empty());
}

#[test]
fn foreign_description_is_checked() {
    let root = tempfile::tempdir().unwrap();
    let made = folder(root.path(), 1);
    let path = made.path().join("run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let check = |from: &str, to: &str, expected: &str| {
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = RunFolder::open(made.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("\"format\": 1", "\"format\": 2", "has format 2, this version of fltk reads up to 1\nhint: ");
    check("\"format\": 1,", "", "missing field `format`");
    check("\"experiment\": \"exp\"", "\"experiment\": \"../exp\"", "`../exp` can't be a name");
    check("\"a CPU\"", "\"\\u001b[2J\"", "control characters");
    check("\"group\": \"ab12\"", "\"group\": \"xyz\"", "not lower-case hex");
    check("\"num_jobs\": 1", "\"num_jobs\": 0", "job 0 of a group of 0");
    std::fs::write(&path, vec![b' '; DESCRIPTION_BYTES_MAX as usize + 1]).unwrap();
    assert!(matches!(RunFolder::open(made.path()), Err(RunError::File(FileError::TooLarge { .. }))));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(RunFolder::open(made.path()), Err(RunError::NotARun { missing: "run.json", .. })));
    // Fields of a later version of the same format are ignored.
    std::fs::write(&path, text.replacen('{', "{\"color\": \"red\",", 1)).unwrap();
    assert_eq!(RunFolder::open(made.path()).unwrap(), made);
}

#[test]
fn second_writer_is_told_of_the_first() {
    let root = tempfile::tempdir().unwrap();
    let run = folder(root.path(), 1);
    assert!(!run.is_locked());
    let lock = run.lock("process 17 on\nnode-a").unwrap();
    assert!(run.is_locked());
    let error = run.lock("process 18").unwrap_err().to_string();
    assert!(error.contains("is being written by process 17 on node-a"), "{error}");
    assert!(matches!(RunRecorder::open(run.clone(), "process 19"), Err(RunError::Locked { .. })));
    drop(lock);
    assert!(!run.is_locked());
    let (recorder, _) = RunRecorder::open(run.clone(), "process 19").unwrap();
    assert_eq!(run.clone().read().unwrap().status, Status::Running);
    drop(recorder);
    assert_eq!(run.read().unwrap().status, Status::Interrupted);
}

#[test]
fn appended_derived_files_equal_rebuilt_ones() {
    let root = tempfile::tempdir().unwrap();
    let events = [started(0), round(0, 0.1), round(1, 0.2), saved(1), round(2, 0.3), finished()];
    for num_events in 1..=events.len() {
        let run = recorded(root.path(), num_events as u64, &events[..num_events]);
        let appended = derived(&run);
        assert_eq!(appended.len(), 2, "metrics.csv and one event file");
        rebuild(&run);
        assert_eq!(derived(&run), appended, "after {num_events} events");
    }
}

#[test]
fn killed_and_resumed_recording_ends_the_same() {
    let root = tempfile::tempdir().unwrap();
    let whole = [started(0), round(0, 0.1), round(1, 0.2), saved(1), round(2, 0.3), round(3, 0.4), finished()];
    let expected = recorded(root.path(), 1, &whole);
    let rows = |run: &RunFolder| -> Vec<_> {
        let history = run.clone().read().unwrap().history;
        // Times are left out: a round that is repeated is recorded later.
        history.rows().map(|row| (row.step, row.clients.clone(), row.train, row.test.clone())).collect()
    };
    let journal = std::fs::read(expected.journal_path()).unwrap();
    for length in (0..=journal.len()).step_by(97) {
        let run = folder(root.path(), 100 + length as u64);
        std::fs::write(run.journal_path(), &journal[..length]).unwrap();
        std::fs::write(run.path().join(".new-half"), "left by the kill").unwrap();
        std::fs::write(run.path().join("metrics.csv"), "half a li").unwrap();
        let (mut recorder, _) = RunRecorder::open(run.clone(), "a test").unwrap();
        // Like the program: resume from the checkpoint if there is one, otherwise start from the beginning.
        let from = recorder.history().checkpoints().last_key_value().map_or(0, |(at, _)| at.completed);
        let mut again = vec![started(from)];
        again.extend(if from == 1 { &whole[4..] } else { &whole[1..] }.iter().cloned());
        for event in &again {
            recorder.record(event, at(1000)).unwrap();
        }
        drop(recorder);
        assert_eq!(rows(&run), rows(&expected), "cut at {length}");
        assert_eq!(run.clone().read().unwrap().status, Status::Finished);
        let appended = derived(&run);
        rebuild(&run);
        assert_eq!(derived(&run), appended, "cut at {length}");
        assert!(!run.path().join(".new-half").exists());
    }
}

#[test]
fn out_of_order_event_is_not_written() {
    let root = tempfile::tempdir().unwrap();
    let run = recorded(root.path(), 1, &[started(0), finished()]);
    let before = std::fs::read(run.journal_path()).unwrap();
    let (mut recorder, _) = RunRecorder::open(run.clone(), "a test").unwrap();
    let error = recorder.record(&round(1, 0.5), at(9)).unwrap_err();
    assert!(matches!(error, RunError::Order { .. }), "{error}");
    assert_eq!(std::fs::read(run.journal_path()).unwrap(), before);
    recorder.record_all(&[started(0), round(1, 0.5)], at(9)).unwrap();
}

#[test]
fn link_in_place_of_the_journal_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let run = folder(root.path(), 1);
    let elsewhere = root.path().join("elsewhere");
    std::fs::write(&elsewhere, "").unwrap();
    std::fs::remove_file(run.journal_path()).unwrap();
    std::os::unix::fs::symlink(&elsewhere, run.journal_path()).unwrap();
    let error = RunRecorder::open(run, "a test").unwrap_err();
    assert!(error.to_string().contains("not a plain file"), "{error}");
}

#[test]
fn settings_are_named_as_in_the_experiment_file() {
    let task = serde_json::json!({
        "name": "t", "network": "LeNet5", "dataset": {"name": "mnist", "path": null}, "loss": "CrossEntropyLoss", "threads": 1,
        "train": {"batch_size": 64, "drop_last": true, "optimizer": {"type": "Adam", "betas": [0.9, 0.999], "eps": 1e-8}},
        "checkpoint_every": 1, "priorities": [{"priority": 1}],
        "setting": {"kind": "distributed", "epochs": 3, "data_parallelism": 1},
    });
    let settings = Hyperparameters::of_json(&task);
    let text: Vec<_> = settings.0.iter().map(|(name, value)| format!("{name}={}", serde_json::to_string(value).unwrap())).collect();
    let expected = [
        "dataset.name=\"mnist\"",
        "distributed.data_parallelism=1.0",
        "distributed.epochs=3.0",
        "kind=\"distributed\"",
        "loss=\"CrossEntropyLoss\"",
        "network=\"LeNet5\"",
        "threads=1.0",
        "train.batch_size=64.0",
        "train.drop_last=true",
        "train.optimizer.betas.0=0.9",
        "train.optimizer.betas.1=0.999",
        "train.optimizer.eps=1e-8",
        "train.optimizer.type=\"Adam\"",
    ];
    assert_eq!(text, expected);
    assert_eq!(settings.num_steps(), Some(3));
}

/// The sizes of many clients would be more entries than a folder may have.
#[test]
fn long_lists_are_recorded_as_a_digest() {
    let recorded = |sizes: &[u32]| Hyperparameters::of_json(&serde_json::json!({ "train": { "sizes": sizes } }));
    let ones = [1; 5000];
    assert_eq!(recorded(&ones[..100]).0.len(), 100);
    let settings = recorded(&ones[..101]);
    assert_eq!(settings.0.len(), 1);
    // `[1,1,...,1]` with 101 ones.
    let digest = "55edd7cd1cded5942af03591748105a2f70c2d0ee428bd9f3b447da2a4d95e70";
    assert_eq!(settings.text("train.sizes"), format!("101 values, sha256:{digest}"));
    let mut other = ones;
    other[4999] = 2;
    assert!(recorded(&ones).difference(&recorded(&other)).is_some_and(|(name, ..)| name == "train.sizes"));
}

#[test]
fn digests_of_files_are_kept_and_distinguish_runs() {
    let root = tempfile::tempdir().unwrap();
    let with = |seed, file: &str| {
        let files_sha256 = std::collections::BTreeMap::from([("federated.partition.path".to_owned(), file.to_owned())]);
        let begun = RunDescription { files_sha256, ..description(seed) };
        RunFolder::create(root.path(), &exp(), at(0), &format!("{seed:08}"), "name: exp\n", &begun).unwrap()
    };
    let runs = [with(1, "aa"), with(2, "aa"), with(3, "bb")];
    let read = RunFolder::open(runs[0].path()).unwrap();
    assert_eq!(read.description().files_sha256["federated.partition.path"], "aa");
    let compared = crate::compare::compare(&runs.map(|run| run.read().unwrap()));
    let groups: Vec<&[usize]> = compared.groups.iter().map(|group| group.runs.as_slice()).collect();
    assert_eq!(groups, [&[0, 1][..], &[2]]);
}

#[test]
fn lock_belongs_to_the_current_folder() {
    let root = tempfile::tempdir().unwrap();
    let run = recorded(root.path(), 1, &[]);
    let lock = run.path().join("lock");
    let held = run.lock("the first").unwrap();
    // Another folder, or file, replaced it.
    fs::remove_file(&lock).unwrap();
    let other = run.lock("the second").unwrap();
    assert!(matches!(run.lock("a third"), Err(RunError::Locked { holder, .. }) if holder == "the second"));
    drop((held, other));
    // Links and pipes are neither locked nor waited for.
    fs::remove_file(&lock).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    assert!(run.lock("a test").is_err() && !run.is_locked());
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink(root.path().join("outside"), &lock).unwrap();
    assert!(run.lock("a test").is_err() && !run.is_locked() && !root.path().join("outside").exists());
}

#[test]
fn later_settings_at_their_default_make_no_difference() {
    let with = |settings: &[(&str, Hyperparameter)]| {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Hyperparameters(settings.collect())
    };
    let before = ("a", Hyperparameter::Number(1.0));
    let later = [("b", "2"), ("c", "\"none\""), ("d", "false")];
    let text = |text: &str| Hyperparameter::Text(text.to_owned());
    let check = |settings: &[(&str, Hyperparameter)], is_same: bool| {
        let key = with(&[std::slice::from_ref(&before), settings].concat()).key_without(&later);
        assert_eq!(key == with(std::slice::from_ref(&before)).key_without(&later), is_same, "{settings:?}");
    };
    check(&[], true);
    check(&[("b", Hyperparameter::Number(2.0))], true);
    check(&[("b", Hyperparameter::Number(2.0)), ("c", text("none")), ("d", Hyperparameter::Bool(false))], true);
    check(&[("b", Hyperparameter::Number(3.0))], false);
    check(&[("c", text("some"))], false);
    check(&[("d", Hyperparameter::Bool(true))], false);
    // A setting that existed before counts, whatever its value is.
    check(&[("e", Hyperparameter::Number(2.0))], false);
}

/// A setting that is new in what is recorded of a task has to be in `LATER`, with its default: otherwise runs from before and after it
/// would not count as replications of one another.
#[test]
fn settings_recorded_by_earlier_versions_are_equal_to_current_ones() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/0.1.0");
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let recorded: std::collections::BTreeMap<String, Hyperparameters> =
        serde_json::from_str(&text(&data.join("files/settings.json"))).unwrap();
    let experiment = parse(data.join("files/settings.yaml"), text(&data.join("files/settings.yaml")), "0.1.0", catalogues())
        .unwrap()
        .with_earliest_defaults();
    assert_eq!(recorded.len(), experiment.tasks.len());
    for task in &experiment.tasks {
        assert_eq!(Hyperparameters::of(task).key(), recorded[task.name.as_str()].key(), "{}", task.name);
    }
    let later = ["0.1.0-virtual-time", "0.1.0-command"].map(|name| data.with_file_name(name));
    let runs = [data, later[0].clone(), later[1].clone()].map(|folder| RunFolder::list(&folder.join("runs")).unwrap());
    for path in runs.concat() {
        let run = RunFolder::open(path).unwrap();
        let task = &run.experiment(catalogues()).unwrap().tasks[run.description().task_index as usize];
        assert_eq!(Hyperparameters::of(task).key(), run.description().hyperparameters.key(), "{}", run.name());
    }
}
