//! What a federated round asks of its clients: the terms that a federation sets and a trainer keeps.

use std::collections::BTreeMap;

use crate::model_state::TensorSpec;

/// What a round asks of each of its clients beside the model to start from. Whoever trains needs to compute none of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTerms {
    /// Step size of every local step.
    pub learning_rate: f64,
    /// How long to train.
    pub work: LocalWork,
    /// Strength `mu` of the proximal term `mu/2 |w - w_global|^2` (Li et al. 2020, arXiv:1812.06127); 0 for none.
    pub proximal_mu: f64,
    /// What else a strategy sends, such as control variates.
    pub arrays: Vec<NamedArray>,
    /// Names of what it wants back beside the model, such as [`NORMALIZER`].
    pub extras: Vec<String>,
}

/// The extra that `FedNova` asks for: `a_i`, the L1 norm of the weights that local steps have in the client's change (Wang et al. 2020,
/// arXiv:2007.07481, section 4); the number of steps for plain SGD.
pub const NORMALIZER: &str = "normalizer";

/// Scalars that a client sends back beside its model, by name.
pub type Extras = BTreeMap<String, f64>;

/// How long a client trains in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalWork {
    /// Passes over all of its samples.
    Epochs(u32),
    /// Optimizer steps: the last pass ends where they do, and samples are shuffled anew for each pass.
    Steps(u64),
}

/// An array with a name, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArray {
    /// Its name and shape.
    pub spec: TensorSpec,
    /// Its elements.
    pub values: Vec<f32>,
}
