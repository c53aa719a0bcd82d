//! The contents of a checkpoint's files: everything needed to resume training with the same bits. Writing the files safely is the caller's
//! task.
//!
//! Random state is not included and need not be: every stream is derived from the root seed by purpose and position, so the seed and the
//! position are the random state.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    milestone::Milestone,
    model_state::{ModelState, TensorSpec},
    seed::Seed,
    server_state::ServerState,
};
use serde::{Deserialize, Serialize};

use crate::{Model, Optimizer, TrainError, ranks::EpochPart, state_file, strategy_file};

/// The model, as a safetensors file with PyTorch's names.
pub const MODEL_FILE: &str = "model.safetensors";
/// The optimizer's state. The file is absent in a federated task, whose clients start with a fresh optimizer each round.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// The state of a federated strategy. The file is absent if there is none.
pub const STRATEGY_FILE: &str = "strategy.safetensors";
/// The [`Position`], as JSON.
pub const POSITION_FILE: &str = "position.json";

/// The point in a training at which a checkpoint was taken. Schedules and random streams follow from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The number of complete epochs or federated rounds.
    pub completed: u32,
    /// The root seed, from which all random streams are derived.
    pub seed: Seed,
    /// The learning rate of the last step. It serves as a check, since the schedule gives it too.
    pub learning_rate: f64,
    /// The epoch that is in progress, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<EpochPart>,
}

impl Position {
    /// Returns the milestone of this position.
    #[must_use]
    pub fn milestone(&self) -> Milestone {
        Milestone { completed: self.completed, steps: self.part.as_ref().map_or(0, |part| part.steps) }
    }
}

/// Returns the files of a checkpoint, by name.
///
/// # Errors
/// If a state contradicts its layout, or libtorch fails.
pub fn save(state: &ModelState, optimizer: Option<&Optimizer>, position: &Position) -> Result<BTreeMap<String, Vec<u8>>, TrainError> {
    let mut files = BTreeMap::from([(MODEL_FILE.to_owned(), state_file::state_to_safetensors(state)?)]);
    if let Some(optimizer) = optimizer {
        files.insert(OPTIMIZER_FILE.to_owned(), optimizer.to_safetensors()?);
    }
    let position = serde_json::to_vec_pretty(position).map_err(|error| TrainError::State(error.to_string()))?;
    files.insert(POSITION_FILE.to_owned(), position);
    Ok(files)
}

/// Returns the files of a federated checkpoint, by name: the global model and the strategy's state.
///
/// # Errors
/// As [`save`].
pub fn save_federated(state: &ModelState, server: &ServerState, position: &Position) -> Result<BTreeMap<String, Vec<u8>>, TrainError> {
    let mut files = save(state, None, position)?;
    if !server.is_empty() {
        files.insert(STRATEGY_FILE.to_owned(), strategy_file::to_safetensors(server)?);
    }
    Ok(files)
}

/// Returns the strategy's state at the time of [`save_federated`].
///
/// # Errors
/// If the file is damaged.
pub fn remembered(files: &BTreeMap<String, Vec<u8>>) -> Result<ServerState, TrainError> {
    files.get(STRATEGY_FILE).map_or_else(|| Ok(ServerState::default()), |bytes| strategy_file::from_safetensors(STRATEGY_FILE, bytes))
}

/// Returns the state of the model, whose layout is `layout`, when [`save`] was called, and the position: for a net that isn't in this process.
///
/// # Errors
/// If a file is missing, damaged, or belongs to another net.
pub fn restore_state(files: &BTreeMap<String, Vec<u8>>, layout: &Arc<Vec<TensorSpec>>) -> Result<(Position, ModelState), TrainError> {
    let state = state_file::state_from_safetensors(MODEL_FILE, file(files, MODEL_FILE)?, layout)?;
    Ok((position(files)?, state))
}

fn file<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Result<&'a [u8], TrainError> {
    let missing = || TrainError::File { file: name.to_owned(), reason: "the checkpoint has no such file".to_owned() };
    files.get(name).map(Vec::as_slice).ok_or_else(missing)
}

/// Returns the position of a checkpoint.
///
/// # Errors
/// If its file is missing or damaged.
pub fn position(files: &BTreeMap<String, Vec<u8>>) -> Result<Position, TrainError> {
    let problem = |error: serde_json::Error| TrainError::File { file: POSITION_FILE.to_owned(), reason: error.to_string() };
    serde_json::from_slice(file(files, POSITION_FILE)?).map_err(problem)
}

/// Restores `model` (and `optimizer`, if the training has one) to the state in which [`save`] was called, and returns the position.
///
/// # Errors
/// If a file is missing, damaged, or belongs to another net or optimizer. The model may already be changed then.
pub fn restore(files: &BTreeMap<String, Vec<u8>>, model: &mut Model, optimizer: Option<&mut Optimizer>) -> Result<Position, TrainError> {
    let (position, state) = restore_state(files, &model.state_layout())?;
    model.set_state(&state)?;
    if let Some(optimizer) = optimizer {
        optimizer.load_safetensors(file(files, OPTIMIZER_FILE)?)?;
        optimizer.set_learning_rate(position.learning_rate);
    }
    Ok(position)
}
