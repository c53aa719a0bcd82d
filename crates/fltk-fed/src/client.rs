//! The interfaces for computation: trainers of clients, and evaluators of global models. Transports carry orders to them.

use fltk_core::{ids::Round, metrics::Evaluation, model_state::ModelState};

use crate::{
    BoxError,
    round::{ClientUpdate, TrainOrder},
};

/// Trains clients, one after another.
pub trait ClientTrainer: Send {
    /// Trains the client that `order` names, from the order's state, on one compute thread. The answer must be a function of the order
    /// alone (and of the values that the trainer was created with), never of earlier orders. The caller measures its `seconds`.
    ///
    /// # Errors
    ///
    /// Anything that keeps the client from answering. An error fails the run.
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError>;
}

/// Evaluates global models.
pub trait Evaluator: Send {
    /// Evaluates the model after `round` over the whole test set.
    ///
    /// # Errors
    ///
    /// Anything that keeps the model from being evaluated. An error fails the run.
    fn evaluate(&mut self, round: Round, state: &ModelState) -> Result<Evaluation, BoxError>;
}

/// Creates the trainer of the worker with this index, from 0, on that worker's thread.
pub type MakeTrainer<'a> = dyn Fn(usize) -> Result<Box<dyn ClientTrainer + 'a>, BoxError> + Sync + 'a;
