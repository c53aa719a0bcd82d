//! Records of runs for tests, created without training.

#[path = "../../../fltk-records/src/samples.rs"]
pub mod samples;

use std::path::Path;

use fltk_core::{
    event::RunEvent,
    ids::Epoch,
    metrics::{Evaluation, TrainSummary},
    milestone::Milestone,
};
use fltk_records::{RunFolder, RunRecorder};
use jiff::Timestamp;

use samples::bare;

/// Creates a run with two epochs, and returns its name.
pub fn record(root: &Path, seed: u64) -> String {
    let description = bare(seed);
    let folder =
        RunFolder::create(root, &description.experiment, Timestamp::UNIX_EPOCH, &format!("{seed:08x}"), "name: exp\n", &description)
            .unwrap();
    let name = folder.name();
    let (mut recorder, _) = RunRecorder::open(folder, "a test").unwrap();
    let epoch = |epoch: u32| RunEvent::EpochEnded {
        epoch: Epoch(epoch),
        train: TrainSummary { num_samples: 600, num_steps: 19, loss: Some(0.75) },
        learning_rate: 0.125,
        test: Evaluation { num_samples: 100, loss: 1.5, accuracy: 0.5, confusion: None },
        train_seconds: 1.0,
        test_seconds: 0.5,
        parallel: None,
    };
    for event in [RunEvent::Started { from: Milestone::START, version: "0.1.0".into() }, epoch(1), epoch(2)] {
        recorder.record(&event, Timestamp::UNIX_EPOCH).unwrap();
    }
    name
}
