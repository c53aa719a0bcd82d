//! A federated task whose net is a module in Python: what its nodes get, and how its rounds begin. Nothing here computes with the net.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use fltk::exit::{Exit, failure};
use fltk_core::{
    event::RunEvent,
    experiment::{FederatedConfig, PythonNet, Training},
    ids::Round,
    model_state::ModelState,
    seed::Seed,
};
use fltk_fed::{round::Setup, strategy::Spec};
use fltk_network::wire::errand::PythonJob;
use fltk_train::{checkpoint, parameters_sha256};

use crate::run::{recorder::Recorder, resumed::Resumed};

/// The variable that names the Python of code of the user's own, unless the experiment does.
const INTERPRETER: &str = "FLTK_PYTHON";

/// Returns the Python that runs code of the user's own on this machine: what the experiment names, what `FLTK_PYTHON` names, or `python3`.
pub fn interpreter(environment: Option<&str>, base: &Path) -> PathBuf {
    match environment {
        Some(environment) => {
            let path = base.join(environment);
            if path.is_dir() { path.join("bin/python") } else { path }
        }
        None => env::var_os(INTERPRETER).filter(|path| !path.is_empty()).map_or_else(|| "python3".into(), PathBuf::from),
    }
}

/// Returns what nodes get of the job. `carried` is its net with the path that nodes see.
///
/// # Errors
/// If the net has no name.
pub fn job(net: &PythonNet, carried: &PythonNet, task: &Training, seed: Seed, config: &FederatedConfig) -> anyhow::Result<PythonJob> {
    let (own, _) = net.parts().context("a net in Python without a name")?;
    let (file, name) = carried.parts().context("a net in Python without a name")?;
    let file_name = Path::new(own).file_name().and_then(OsStr::to_str).unwrap_or("model.py").to_owned();
    Ok(PythonJob {
        file: file.to_owned(),
        name: name.to_owned(),
        file_name,
        loss: task.loss.clone(),
        optimizer: serde_json::to_string(&task.train.optimizer)?,
        batch_size: task.train.batch_size,
        test_batch_size: task.train.test_batch_size,
        drop_last: task.train.drop_last,
        seed,
        num_clients: config.clients.num(),
        dataset: task.dataset.name().to_owned(),
    })
}

/// Checks that the strategy asks clients for nothing but plain training, which is what nodes in Python do.
///
/// # Errors
/// If it asks for more.
pub fn check_strategy(setup: &Setup) -> anyhow::Result<()> {
    let spec: &Spec = setup.strategy();
    let is_plain = spec.client.is_plain && spec.extras.is_empty() && spec.keeps.is_empty() && spec.arrays.is_empty() && spec.root.is_none();
    if is_plain {
        return Ok(());
    }
    let message = format!(
        "`federated.strategy`: `{}` asks clients for more than plain training, which nodes in Python don't do\nhint: FedAvg, FedProx, FedAvgM, FedAdam, FedYogi and the robust rules ask for nothing else",
        spec.entry.entry.name
    );
    Err(failure(Exit::Experiment, message))
}

/// Takes the model that node `by` made: compares it with the one that the run began with, records it if there was none, and returns the model to go on from.
///
/// # Errors
/// If it is another model than before, or the checkpoint isn't one of it.
pub fn begin(initial: ModelState, by: &str, resumed: Option<&Resumed>, recorder: &mut Recorder) -> anyhow::Result<ModelState> {
    let made = parameters_sha256(&initial);
    match recorder.history().initial().map(str::to_owned) {
        Some(begun) if begun != made => {
            let message = format!(
                "node `{by}` makes another initial model (SHA-256 {made}) than the one that the run began with ({begun})\nhint: use the same PyTorch, and a `make_model` that draws from PyTorch's generator alone"
            );
            return Err(failure(Exit::Records, message));
        }
        Some(_) => {}
        None => {
            let num_parameters = initial.floats.len();
            tracing::info!("node `{by}` made the initial model: {num_parameters} numbers");
            recorder.record(RunEvent::ModelInitialized { parameters_sha256: made, node: by.to_owned() })?;
        }
    }
    let Some(resumed) = resumed else { return Ok(initial) };
    let (_, state) = checkpoint::restore_state(&resumed.checkpoint.files, &initial.layout)?;
    resumed.check_parameters(&state)?;
    Ok(state)
}

/// Returns the round after which a run goes on.
///
/// # Errors
/// If the checkpoint is damaged.
pub fn completed(resumed: Option<&Resumed>) -> anyhow::Result<Round> {
    Ok(Round(resumed.map_or(Ok(0), |resumed| checkpoint::position(&resumed.checkpoint.files).map(|position| position.completed))?))
}
