//! The terms of a federated round for its clients: the federation sets them, and a trainer keeps them.

use std::{collections::BTreeMap, sync::Arc};

/// The terms of a round for each of its clients, in addition to the model to start from. A trainer computes none of them itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTerms {
    /// The step size of every local step.
    pub learning_rate: f64,
    /// The amount of local training.
    pub work: LocalWork,
    /// The strength `mu` of the proximal term `mu/2 |w - w_global|^2` (Li et al. 2020, arXiv:1812.06127); 0 for none.
    pub proximal_mu: f64,
    /// Further arrays that a strategy sends, such as a control variate. The clients of a round share them.
    pub arrays: Arc<Arrays>,
    /// The names of the extras that a client returns with its model, such as [`NORMALIZER`].
    pub extras: Vec<String>,
    /// The names of the arrays and scalars that a client keeps for its next round; empty if the strategy keeps no state at clients.
    pub keeps: Vec<String>,
}

/// The extra that `FedNova` requests: `a_i`, the L1 norm of the weights of the local steps in the client's change (Wang et al. 2020,
/// arXiv:2007.07481, section 4); it is the number of steps for plain SGD.
pub const NORMALIZER: &str = "normalizer";

/// The extra that `QFedAvg` requests: the mean loss of the client's samples under the model that it starts from, before any step.
pub const INITIAL_LOSS: &str = "loss";

/// Scalars that a client returns with its model, by name.
pub type Extras = BTreeMap<String, f64>;

/// Arrays with an element for each of all parameters', in the layout's order, by name.
pub type Arrays = BTreeMap<String, Vec<f32>>;

/// The amount of training of a client in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LocalWork {
    /// Passes over all of the client's samples. Of the last one, if it isn't whole, that share of the steps is taken, rounded to the nearest
    /// whole number and at least 1.
    Epochs(f64),
    /// Optimizer steps: the last pass ends with the last step, and samples are shuffled again for each pass.
    Steps(u64),
}
