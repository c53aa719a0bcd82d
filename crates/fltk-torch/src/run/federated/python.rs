//! A federated task whose net is a module in Python, at all nodes or at those that have one of their own: what they get, and how rounds begin. Nothing here computes
//! with such a net.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use fltk::exit::{Exit, failure};
use fltk_core::{
    catalogue::Choice,
    event::RunEvent,
    experiment::{FederatedConfig, PythonNet, Training},
    ids::Round,
    model_state::ModelState,
    seed::Seed,
};
use fltk_fed::{
    round::Setup,
    strategy::{self, Spec},
};
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
    Ok(PythonJob { file: file.to_owned(), name: name.to_owned(), file_name, ..without_code(task, seed, config)? })
}

/// Returns what a node gets that has a module of its own in place of the net, which isn't one in Python; or the reason why none may take part.
///
/// A client's numbers would depend on which kind of node trains it. So only a node may have such a module that has a client's data: then the client is always its own.
///
/// # Errors
/// If the optimizer can't be written.
pub fn twin(task: &Training, seed: Seed, config: &FederatedConfig) -> anyhow::Result<Result<PythonJob, String>> {
    let faults = config.faults.as_ref().and_then(|faults| faults.attack.as_ref());
    let needs_more = [
        ("a strategy that asks clients for more than plain training", strategy::of(&config.strategy).is_none_or(|spec| !is_plain(spec))),
        ("`compression`", config.compression.is_some()),
        ("`feature_noise`", config.feature_noise > 0.0),
        ("`impose_links`", config.imposed_links().is_some()),
        ("the attack `label_flip`", faults.is_some_and(|attack: &Choice| attack.name() == "label_flip")),
    ];
    if task.network.python().is_some() {
        return Ok(Err("the net of this run is a module in Python, which the federator sends\nhint: leave `--model` out".to_owned()));
    }
    if !config.has_own_data() {
        let reason = "a node with a module of its own may take part only if each client's data is at its node (`data: here`): elsewhere any node trains any client, and whether it was one in Rust or in Python would decide the last bits\nhint: `fltk node --join ...` takes part, or `network: { python: ... }` has all nodes train the module";
        return Ok(Err(reason.to_owned()));
    }
    if let Some((what, _)) = needs_more.into_iter().find(|(_, is_asked)| *is_asked) {
        return Ok(Err(format!("this run has {what}, which nodes in Python don't do\nhint: `fltk node --join ...` takes part")));
    }
    without_code(task, seed, config).map(Ok)
}

fn without_code(task: &Training, seed: Seed, config: &FederatedConfig) -> anyhow::Result<PythonJob> {
    Ok(PythonJob {
        file: String::new(),
        name: String::new(),
        file_name: String::new(),
        loss: task.loss.clone(),
        optimizer: serde_json::to_string(&task.train.optimizer)?,
        batch_size: task.train.batch_size,
        test_batch_size: task.train.test_batch_size,
        drop_last: task.train.drop_last,
        seed,
        num_clients: config.clients.num(),
        dataset: task.dataset.name().to_owned(),
        layout: Arc::default(),
    })
}

/// Checks that the strategy asks clients for nothing but plain training, which is what nodes in Python do.
///
/// # Errors
/// If it asks for more.
pub fn check_strategy(setup: &Setup) -> anyhow::Result<()> {
    let spec: &Spec = setup.strategy();
    if is_plain(spec) {
        return Ok(());
    }
    let message = format!(
        "`federated.strategy`: `{}` asks clients for more than plain training, which nodes in Python don't do\nhint: FedAvg, FedProx, FedAvgM, FedAdam, FedYogi and the robust rules ask for nothing else",
        spec.entry.entry.name
    );
    Err(failure(Exit::Experiment, message))
}

fn is_plain(spec: &Spec) -> bool {
    spec.client.is_plain && spec.extras.is_empty() && spec.keeps.is_empty() && spec.arrays.is_empty() && spec.root.is_none()
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
