//! The local optimizers, with PyTorch's formulas and defaults: one file and one line each. Every optimizer has the parameter
//! [`LEARNING_RATE`](fltk_core::catalogue::LEARNING_RATE).

mod adam;
mod sgd;

use fltk_core::catalogue::Entry;
#[cfg(libtorch)]
use {
    crate::TrainError,
    fltk_core::catalogue::Choice,
    tch::{Device, Tensor},
};

/// Every optimizer.
pub const CATALOGUE: &[&OptimizerSpec] = &[&sgd::SGD, &adam::ADAM, &adam::ADAMW];

/// An optimizer.
#[derive(Debug)]
pub struct OptimizerSpec {
    /// The name and the parameters.
    pub entry: Entry,
    /// Returns the names of the moments that it keeps for each parameter of the model, as in PyTorch's state.
    #[cfg(libtorch)]
    pub moments: fn(&Choice) -> &'static [&'static str],
    /// Returns the update of one step.
    #[cfg(libtorch)]
    pub update: MakeUpdate,
    /// True if an update depends on the learning rate alone, so that steps at the same rate have the same one.
    #[cfg(libtorch)]
    pub keeps_update: bool,
    /// Returns momentum, and true if it is Nesterov's, if steps are sums of gradients; `None` if they are normalized already.
    #[cfg(libtorch)]
    pub momentum: fn(&Choice) -> Option<(f64, bool)>,
}

/// The function that returns the update of one step.
#[cfg(libtorch)]
pub type MakeUpdate = fn(&Choice, Step) -> Result<Box<dyn Update>, TrainError>;

/// A step of an optimizer.
#[cfg(libtorch)]
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The learning rate.
    pub learning_rate: f64,
    /// The number of the step, from 1.
    pub number: u64,
    /// The model's device, on which scalars are too.
    pub device: Device,
}

/// The update of one step: its scalars, which are the same for every block of elements.
#[cfg(libtorch)]
pub trait Update: std::fmt::Debug {
    /// Updates a block of weights by its gradient. `moments` has the same elements of each moment, in the order of their names.
    ///
    /// # Errors
    /// If libtorch fails.
    fn apply(&self, weights: &mut Tensor, gradient: Tensor, moments: &mut [Tensor]) -> Result<(), TrainError>;
}

/// Returns the entries of all optimizers, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static Entry> {
    CATALOGUE.iter().map(|optimizer| &optimizer.entry).collect()
}
