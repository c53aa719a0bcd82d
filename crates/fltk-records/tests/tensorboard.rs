//! Tests that the real TensorBoard reads our event files: scalars, and the sessions of the HParams tab.
//!
//! The test runs the Python that `FLTK_PYTHON` names, which has TensorBoard; `cargo xtask test` sets it.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "../src/samples.rs"]
mod samples;

use std::{path::Path, process::Command};

use fltk_core::{
    event::RunEvent,
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    milestone::Milestone,
};
use fltk_records::{Hyperparameter, Hyperparameters, RunDescription, RunFolder, RunRecorder};
use serde_json::{Value, json};

use samples::{at, bare};

fn round(round: u32, accuracy: f64) -> RunEvent {
    RunEvent::RoundEnded {
        round: Round(round),
        clients: vec![ClientId(1), ClientId(3), ClientId(4)],
        train: (round > 0).then_some(TrainSummary { num_samples: 600, num_steps: 19, loss: Some(0.75) }),
        learning_rate: 0.125,
        test: Some(Evaluation { num_samples: 100, loss: 1.5, accuracy, confusion: None }),
        client_test: None,
        train_seconds: 2.5,
        virtual_seconds: None,
        test_seconds: 0.5,
        sent_bytes: None,
    }
}

fn record(root: &Path, seed: u64, accuracies: &[f64], end: RunEvent) -> String {
    let settings = [
        ("train.batch_size", Hyperparameter::Number(32.0)),
        ("train.drop_last", Hyperparameter::Bool(true)),
        ("network", Hyperparameter::Text("LeNet5".into())),
    ];
    let description = RunDescription {
        hyperparameters: Hyperparameters(settings.into_iter().map(|(name, value)| (name.into(), value)).collect()),
        started_at: at(0),
        ..bare(seed)
    };
    let folder = RunFolder::create(root, &description.experiment, at(0), &format!("{seed:08x}"), "", &description).unwrap();
    let (mut recorder, _) = RunRecorder::open(folder.clone(), "a test").unwrap();
    let mut time = 0;
    let mut record = |event: &RunEvent| {
        time += 1;
        recorder.record(event, at(time)).unwrap();
    };
    record(&RunEvent::Started { from: Milestone::START, version: "0.1.0".into() });
    // A first attempt is voided: TensorBoard must not see its round.
    record(&round(1, 0.0625));
    record(&RunEvent::Started { from: Milestone::START, version: "0.1.0".into() });
    for (step, accuracy) in (0..).zip(accuracies) {
        record(&round(step, *accuracy));
    }
    record(&end);
    folder.name()
}

/// Returns what TensorBoard sees in `root`; `None` if there is no TensorBoard and that is allowed.
fn tensorboard(root: &Path) -> Option<Value> {
    let Some(python) = std::env::var_os("FLTK_PYTHON") else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "FLTK_PYTHON is not set, and with CI=true this test may not be skipped");
        eprintln!("skipped: FLTK_PYTHON is not set; `cargo xtask test` sets it to a Python with TensorBoard");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/read_events.py");
    let output = Command::new(python).arg(script).arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn tensorboard_reads_scalars_and_hparams() {
    let root = tempfile::tempdir().unwrap();
    let finished = RunEvent::Finished { parameters_sha256: "00".into(), seconds: 9.0 };
    let first = record(root.path(), 1, &[0.125, 0.5, 0.75], finished);
    let second = record(root.path(), 2, &[0.125, 0.25], RunEvent::Failed { reason: "no space left".into(), for_good: false });
    let Some(seen) = tensorboard(root.path()) else { return };

    let time = |seconds: i64| json!(at(seconds).as_second() as f64);
    let expected = json!({
        "accuracy/test": [[0, 0.125, time(4)], [1, 0.5, time(5)], [2, 0.75, time(6)]],
        "loss/test": [[0, 1.5, time(4)], [1, 1.5, time(5)], [2, 1.5, time(6)]],
        "time/test_seconds": [[0, 0.5, time(4)], [1, 0.5, time(5)], [2, 0.5, time(6)]],
        "loss/train": [[1, 0.75, time(5)], [2, 0.75, time(6)]],
        "learning_rate": [[1, 0.125, time(5)], [2, 0.125, time(6)]],
        "time/train_seconds": [[1, 2.5, time(5)], [2, 2.5, time(6)]],
        "samples/train": [[1, 600.0, time(5)], [2, 600.0, time(6)]],
        "clients/selected": [[1, 3.0, time(5)], [2, 3.0, time(6)]],
    });
    let scalars = seen["scalars"][&first].as_object().unwrap();
    assert_eq!(Value::Object(scalars.clone()), sorted_like(&expected, scalars));
    assert_eq!(seen["scalars"][&second]["accuracy/test"], json!([[0, 0.125, time(4)], [1, 0.25, time(5)]]));

    let groups = seen["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "seeds of one task are one group: {groups:?}");
    assert_eq!(groups[0]["hparams"]["train.batch_size"], json!(32.0));
    assert_eq!(groups[0]["hparams"]["train.drop_last"], json!(true));
    assert_eq!(groups[0]["hparams"]["network"], json!("LeNet5"));
    assert_eq!(groups[0]["sessions"][&first], json!({"status": "STATUS_SUCCESS", "start": time(0), "end": time(7)}));
    assert_eq!(groups[0]["sessions"][&second], json!({"status": "STATUS_FAILURE", "start": time(0), "end": time(6)}));
    assert_eq!(groups[0]["metrics"]["accuracy/test"], json!(0.5), "the mean over the seeds");
}

/// Returns the fields of `value` in the order of `like`: whether maps keep their order, and compare by it, depends on features that other
/// crates enable.
fn sorted_like(value: &Value, like: &serde_json::Map<String, Value>) -> Value {
    let fields = value.as_object().unwrap();
    assert_eq!(fields.len(), like.len(), "{like:?}");
    Value::Object(like.keys().filter_map(|name| Some((name.clone(), fields.get(name)?.clone()))).collect())
}
