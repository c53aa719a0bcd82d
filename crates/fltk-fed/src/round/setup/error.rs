//! The reasons why a federation can't be set up.

use fltk_core::{catalogue::Misfit, ids::Round};

use crate::state_check::StateError;

/// The limit on samples: larger numbers are not exact as an f64 weight.
pub(super) const SAMPLES_MAX: u64 = 1 << 53;

/// The reason why a federation can't be set up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// The catalogue has no strategy, selection, compression or attack of that name.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// The kind of entry: `strategy`, `selection`, `compression` or `attack`.
        kind: &'static str,
        /// The name according to the configuration.
        name: String,
    },
    /// A number that has to be at least 1 is 0.
    #[error("`{field}` is 0; hint: it has to be at least 1")]
    Zero {
        /// The setting.
        field: &'static str,
    },
    /// A number is out of its range.
    #[error("`{field}` is {value}; hint: it has to be {range}")]
    OutOfRange {
        /// The setting.
        field: &'static str,
        /// The value.
        value: f64,
        /// The possible values, in words.
        range: &'static str,
    },
    /// A round needs more updates than it can have.
    #[error("a round needs {min_updates} updates, and at most {clients_per_round} count; hint: lower `min_updates`")]
    MinUpdates {
        /// The number that a round needs.
        min_updates: u32,
        /// The number that counts.
        clients_per_round: u32,
    },
    /// The partition has a different number of parts than there are clients.
    #[error("there are {clients} clients, but the partition has {parts} parts")]
    Parts {
        /// The number according to the configuration.
        clients: u32,
        /// The number of parts of the partition.
        parts: usize,
    },
    /// A round needs more clients than hold samples.
    #[error(
        "{needed} clients are needed for a round, but only {with_samples} of {clients} hold samples; \
         hint: lower `clients_per_round` or use a less uneven partition"
    )]
    TooFewClients {
        /// The number that is selected for a round.
        needed: u64,
        /// The number of clients that hold at least one sample.
        with_samples: usize,
        /// The number of all clients.
        clients: u32,
    },
    /// The clients hold more samples than a weight can represent exactly.
    #[error("the clients hold more than {SAMPLES_MAX} samples")]
    TooManySamples,
    /// A run can't be resumed after its end.
    #[error("the run can't go on after round `{round}`: it has {rounds} rounds")]
    PastEnd {
        /// The round to resume after.
        round: Round,
        /// The number of rounds according to the configuration.
        rounds: u32,
    },
    /// The strategy needs something that the model doesn't have.
    #[error("{}\nhint: {}", .0.message, .0.hint)]
    Model(Misfit),
    /// The selection can't select the clients of a round.
    #[error("the selection can't choose among the clients that hold samples: {}; hint: {}", .0.message, .0.hint)]
    Selection(Misfit),
    /// The clients that work according to a checkpoint can't be.
    #[error("the clients in the middle of their work can't be used: {0}")]
    InFlight(String),
    /// The strategy has the server train, and the server has no data.
    #[error(
        "under `{strategy}`, the server trains itself, and the clients' data isn't there; hint: use another strategy with `data: here`"
    )]
    NoRootData {
        /// The strategy.
        strategy: &'static str,
    },
    /// An asynchronous strategy lacks something.
    #[error("the strategy `{strategy}` is asynchronous: {problem}")]
    Asynchronous {
        /// The strategy.
        strategy: &'static str,
        /// The problem.
        problem: String,
    },
    /// A round lacks the clients that a file should give, or has others than it can.
    #[error("the clients given for round `{round}` aren't as many different clients with samples as a round needs")]
    Cohort {
        /// The round.
        round: Round,
    },
    /// The strategy of the user's own isn't there.
    #[error("the strategy `{strategy}` is the user's own, and isn't there")]
    OwnStrategy {
        /// The strategy according to the configuration.
        strategy: String,
    },
    /// The model to start from is invalid.
    #[error("the model to start from can't be used: {0}")]
    State(#[from] StateError),
}
