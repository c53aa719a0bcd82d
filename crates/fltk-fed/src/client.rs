//! The interfaces for computation: trainers of clients, the states that clients keep, and evaluators of global models. Transports carry
//! orders to them.

use fltk_core::{
    client_state::ClientState,
    client_test::ClientEvaluation,
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
    server_state::ServerState,
};

use crate::{
    BoxError,
    compression::Compression,
    round::{ClientUpdate, LossOrder, TrainOrder},
};

/// Trains clients, one after another.
pub trait ClientTrainer: Send {
    /// Trains the client that `order` names, from the order's state, on one compute thread. The answer must be a function of the order
    /// alone (and of the values that the trainer was created with, and the [state that the client kept](with_state)), never of earlier
    /// orders. The caller measures its `seconds`.
    ///
    /// # Errors
    ///
    /// Anything that keeps the client from answering. An error fails the run, or costs the client's update if the run goes on without it. A trainer
    /// that panics isn't used again.
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError>;

    /// Returns the mean loss of the order's state on training samples of the client that `order` names. The answer must be a function of the order
    /// alone, as that of [`Self::train`].
    ///
    /// # Errors
    ///
    /// Anything that keeps the client from measuring it, with the same consequences as those of [`Self::train`]. A trainer that can't measure losses
    /// refuses.
    fn measure(&mut self, order: &LossOrder) -> Result<f64, BoxError> {
        Err(format!("this trainer of client `{}` can't measure losses", order.client).into())
    }
}

/// Keeps the states of clients between rounds, at the place where these clients train. Threads share it; of one round, a
/// client is trained by one at a time (a late one may still train while the next round begins).
pub trait ClientStates: Sync {
    /// Returns the state that [`save`](Self::save) was given for `client` after `round`.
    ///
    /// # Errors
    ///
    /// If it isn't there, or isn't what was saved.
    fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError>;

    /// Keeps the state of `client` after `round`, in place of another of that round. Those of earlier rounds stay: a run that resumes
    /// from a checkpoint goes on from them.
    ///
    /// # Errors
    ///
    /// If it can't be kept.
    fn save(&self, client: ClientId, round: Round, state: &ClientState) -> Result<(), BoxError>;
}

/// Carries out `order` by `train`, with the state that its client keeps: `train` gets the one after the client's last round (an empty one
/// in its first) and changes it to the next one, which is saved before the update is returned. It can be repeated with the same result,
/// as when an answer was lost. If the order says that clients keep no state, `train` gets an empty one, and `states` isn't used. With `compression`, the
/// update is compressed, and what isn't sent is a part of the state.
///
/// # Errors
///
/// If `train` fails, or changes the state to one that can't be kept; if the state can't be loaded or saved; or if `states` is `None`
/// although clients keep state. Nothing is saved then.
pub fn with_state(
    states: Option<&dyn ClientStates>,
    compression: Option<&Compression>,
    order: &TrainOrder,
    train: impl FnOnce(&mut ClientState) -> Result<ClientUpdate, BoxError>,
) -> Result<ClientUpdate, BoxError> {
    let keeps = &order.terms.keeps;
    let states = match states {
        _ if keeps.is_empty() => None,
        Some(states) => Some(states),
        None => return Err(StateProblem::Nowhere.into()),
    };
    let mut state = match (states, order.kept) {
        (Some(states), Some(round)) => states.load(order.client, round)?,
        _ => ClientState::default(),
    };
    let update = match compression {
        Some(compression) => compression.carry_out(order, &mut state, train)?,
        None => train(&mut state)?,
    };
    check(&state, keeps)?;
    if let Some(states) = states {
        states.save(order.client, order.round, &state)?;
    }
    Ok(update)
}

/// The reason why the state of a client can't be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateProblem {
    /// The strategy keeps state at clients, and this trainer has no place for it.
    #[error("the strategy keeps state at clients, and there is no place for it here")]
    Nowhere,
    /// The trainer returned something that the order doesn't ask for.
    #[error("its trainer wants to keep `{name}`, which the strategy doesn't keep")]
    Unknown {
        /// The name of the array or scalar.
        name: String,
    },
    /// A number isn't finite.
    #[error("its state has a number in `{name}` that isn't finite; hint: training diverged, a lower learning rate may help")]
    NotFinite {
        /// The name of the array or scalar.
        name: String,
    },
}

fn check(state: &ClientState, keeps: &[String]) -> Result<(), StateProblem> {
    if let Some(name) = state.names().find(|name| !keeps.iter().any(|kept| kept == name)) {
        return Err(StateProblem::Unknown { name: name.to_owned() });
    }
    state.not_finite().map_or(Ok(()), |name| Err(StateProblem::NotFinite { name: name.to_owned() }))
}

/// Evaluates global models, and the models that serve clients.
pub trait Evaluator: Send {
    /// Evaluates the model after `round` over the whole test set.
    ///
    /// # Errors
    ///
    /// Anything that keeps the model from being evaluated. An error fails the run.
    fn evaluate(&mut self, round: Round, state: &ModelState) -> Result<Evaluation, BoxError>;

    /// Evaluates, after `round`, the model that serves each client on the client's own test samples: the global model `state`, or the client's own.
    /// `server` says from which round the state of each client is. The results are ascending by client, of all clients that have test samples.
    ///
    /// # Errors
    ///
    /// Anything that keeps a model from being evaluated; it fails the run. An evaluator without test samples of clients refuses.
    fn evaluate_clients(&mut self, round: Round, state: &ModelState, server: &ServerState) -> Result<Vec<ClientEvaluation>, BoxError> {
        let _ = (state, server);
        Err(format!("round `{round}`: this evaluator has no test samples of clients").into())
    }
}

/// Creates the trainer of the worker with this index, from 0, on that worker's thread.
pub type MakeTrainer<'a> = dyn Fn(usize) -> Result<Box<dyn ClientTrainer + 'a>, BoxError> + Sync + 'a;
