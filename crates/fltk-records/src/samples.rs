//! Runs and streams for tests: those of this crate, and of others, which include this file by its path.

#![allow(dead_code, reason = "each test program uses its part")]

use std::{collections::BTreeMap, path::Path};

use fltk_core::{
    event::RunEvent,
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    name::Name,
    seed::Seed,
};
use fltk_records::{Host, Hyperparameter, Hyperparameters, RunDescription, RunFolder, RunRecorder, StreamDescription};
use jiff::Timestamp;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_323_045 + seconds).unwrap()
}

/// The name of the experiment of all runs.
pub fn exp() -> Name {
    "exp".parse().unwrap()
}

/// The description of a federated run.
pub fn description(seed: u64) -> RunDescription {
    let settings = [
        ("kind", Hyperparameter::Text("federated".into())),
        ("network", Hyperparameter::Text("LeNet5".into())),
        ("dataset.name", Hyperparameter::Text("mnist".into())),
        ("federated.rounds", Hyperparameter::Number(4.0)),
        ("train.drop_last", Hyperparameter::Bool(false)),
    ];
    RunDescription {
        fltk_version: "0.1.0".into(),
        experiment: exp(),
        task: "task".parse().unwrap(),
        task_index: 0,
        seed: Seed(seed),
        replication: 0,
        group: "ab12".into(),
        group_name: None,
        network_sha256: None,
        files_sha256: BTreeMap::new(),
        job_index: 0,
        num_jobs: 1,
        provenance: BTreeMap::from([("mnist/train".into(), "sha256:00".into())]),
        hyperparameters: Hyperparameters(settings.into_iter().map(|(name, value)| (name.into(), value)).collect()),
        host: Host { cpu: "a CPU".into(), cores: 2, os: "Linux".into(), libtorch: Some("2.13.0".into()) },
        started_at: at(0),
    }
}

pub fn started(from: u32) -> RunEvent {
    RunEvent::Started { from: from.into(), version: "0.1.0".into() }
}

pub fn round(round: u32, accuracy: f64) -> RunEvent {
    RunEvent::RoundEnded {
        round: Round(round),
        clients: vec![ClientId(0), ClientId(2)],
        train: (round > 0).then_some(TrainSummary { num_samples: 20, num_steps: 2, loss: Some(0.1 * f64::from(round)) }),
        learning_rate: 0.01,
        test: Some(Evaluation { num_samples: 4, loss: 1.0 - accuracy, accuracy, confusion: Some(vec![vec![2, 0], vec![1, 1]]) }),
        client_test: None,
        train_seconds: 0.5,
        virtual_seconds: None,
        test_seconds: 0.25,
        sent_bytes: None,
    }
}

pub fn saved(at: u32) -> RunEvent {
    RunEvent::CheckpointSaved { at: at.into(), parameters_sha256: format!("{at:064x}") }
}

pub fn finished() -> RunEvent {
    RunEvent::Finished { parameters_sha256: "f".repeat(64), seconds: 3.5 }
}

/// Creates a new run in `root`; its id is its seed.
pub fn folder(root: &Path, seed: u64) -> RunFolder {
    RunFolder::create(root, &exp(), at(0), &format!("{seed:08x}"), "name: exp\n", &description(seed)).unwrap()
}

/// Creates a new run in `root` with these events, one second apart.
pub fn recorded(root: &Path, seed: u64, events: &[RunEvent]) -> RunFolder {
    let folder = folder(root, seed);
    let (mut recorder, torn) = RunRecorder::open(folder.clone(), "a test").unwrap();
    assert_eq!(torn, None);
    for (second, event) in events.iter().enumerate() {
        recorder.record(event, at(second as i64)).unwrap();
    }
    folder
}

/// The description of a run whose settings aren't recorded, at the beginning of time.
pub fn bare(seed: u64) -> RunDescription {
    RunDescription {
        group: "00".into(),
        provenance: BTreeMap::new(),
        hyperparameters: Hyperparameters::default(),
        host: Host { libtorch: None, ..description(seed).host },
        started_at: Timestamp::UNIX_EPOCH,
        ..description(seed)
    }
}

/// The description of a stream, at the beginning of time.
pub fn stream_description(run: &str, experiment: &str) -> StreamDescription {
    StreamDescription {
        fltk_version: "0".to_owned(),
        run: run.parse().unwrap(),
        experiment: experiment.parse().unwrap(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}
