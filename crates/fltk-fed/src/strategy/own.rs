//! A strategy of the user's own, which is computed elsewhere, such as in a process of Python: what it is asked, and what it answers.
//!
//! ```text
//!   begin(round) ──> terms of each client
//!   take(update)     once for each client that counts, in client order
//!   finish()     ──> the next model, and the strategy's state
//! ```
//!
//! Such a strategy is the one part of a round that isn't a pure function here. Not for: where it is computed, and how questions get there, which its edge decides. Its answers are checked as updates are: the next model has the
//! layout of the global one, and finite numbers.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    catalogue::{Entry, StrategyEntry},
    client_terms::{ClientTerms, LocalWork},
    ids::{ClientId, Round},
    model_state::ModelState,
    server_state::{Shaped, WrongLength},
};

use super::{Spec, Update};
use crate::round::Failure;

/// The stand-in for a strategy of the user's own, which is in no catalogue. It asks clients for plain training; an [`OwnStrategy`] does the rest.
pub static SPEC: Spec = Spec::collect(StrategyEntry::new(Entry::new("python", "A strategy of one's own, in Python.")), |round, _, _| {
    Ok(ModelState::clone(round.global))
});

/// A strategy of the user's own. Unlike everything else of a round, it may take its time: whoever passes it in waits for it in these calls, and decides for
/// how long.
pub trait OwnStrategy: std::fmt::Debug + Send + Sync {
    /// Begins a round, and returns the terms of its clients, in order.
    ///
    /// # Errors
    /// If the code fails, or isn't there any more.
    fn begin(&self, round: &OwnRound<'_>) -> Result<Vec<OwnTerms>, OwnFailure>;

    /// Takes the next client's update, in client order.
    ///
    /// # Errors
    /// If the code isn't there any more. If the code fails, [`finish`](Self::finish) says so.
    fn take(&self, update: &Update) -> Result<(), OwnFailure>;

    /// Ends the round.
    ///
    /// # Errors
    /// If the code fails, its answer can't be used, or it isn't there any more.
    fn finish(&self) -> Result<OwnAnswer, OwnFailure>;
}

/// A round that begins.
#[derive(Clone, Copy, Debug)]
pub struct OwnRound<'a> {
    /// The round.
    pub round: Round,
    /// The model from which the clients start.
    pub global: &'a ModelState,
    /// The strategy's state after the round before; empty in round 1, before which it has none.
    pub state: &'a BTreeMap<String, Shaped>,
    /// The clients of the round, ascending, and the terms of each unless the strategy changes them.
    pub clients: &'a [(ClientId, Arc<ClientTerms>)],
}

/// The part of a client's terms that a strategy of the user's own can change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnTerms {
    /// The step size of every local step.
    pub learning_rate: f64,
    /// The strength of the proximal term.
    pub proximal_mu: f64,
    /// The amount of local training.
    pub work: LocalWork,
}

impl OwnTerms {
    /// Returns the part of `terms` that a strategy of the user's own can change.
    #[must_use]
    pub fn of(terms: &ClientTerms) -> Self {
        Self { learning_rate: terms.learning_rate, proximal_mu: terms.proximal_mu, work: terms.work }
    }

    fn replaced_in(self, terms: Arc<ClientTerms>) -> Arc<ClientTerms> {
        if self == Self::of(&terms) {
            return terms;
        }
        let Self { learning_rate, proximal_mu, work } = self;
        Arc::new(ClientTerms { learning_rate, proximal_mu, work, ..ClientTerms::clone(&terms) })
    }
}

/// The result of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnAnswer {
    /// The next global model.
    pub model: ModelState,
    /// The strategy's state after the round.
    pub state: BTreeMap<String, Shaped>,
}

/// The reason why a strategy of the user's own has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnFailure {
    /// The code failed, or its answer can't be used: it would fail again.
    #[error("{0}")]
    Code(String),
    /// The code isn't there any more, through no fault that is known to be its own.
    #[error("{0}")]
    Gone(String),
}

/// The reason why updates can't be combined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// The strategy's state doesn't fit the model.
    #[error(transparent)]
    Remembered(#[from] WrongLength),
    /// A strategy of the user's own has no answer.
    #[error(transparent)]
    Own(#[from] OwnFailure),
}

impl CombineError {
    /// Returns the failure of a run whose `round` can't be ended.
    #[must_use]
    pub fn in_round(self, round: Round) -> Failure {
        match self {
            Self::Remembered(source) => Failure::Remembered { round, source },
            Self::Own(reason) => Failure::Strategy { round, reason },
        }
    }
}

/// A strategy of the user's own as part of a set-up, which is compared with others by identity.
#[derive(Clone, Debug)]
pub(crate) struct Own(pub Arc<dyn OwnStrategy>);

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Own {
    /// Begins a round, and returns its clients with the terms that the strategy gives each.
    pub(crate) fn begin(
        &self,
        round: Round,
        global: &ModelState,
        state: &BTreeMap<String, Shaped>,
        clients: Vec<(ClientId, Arc<ClientTerms>)>,
    ) -> Result<Vec<(ClientId, Arc<ClientTerms>)>, Failure> {
        let failed = |reason| Failure::Strategy { round, reason };
        let own = self.0.begin(&OwnRound { round, global, state, clients: &clients }).map_err(failed)?;
        if own.len() != clients.len() {
            let reason = format!("it has terms for {} clients, and the round has {}", own.len(), clients.len());
            return Err(failed(OwnFailure::Code(reason)));
        }
        Ok(clients.into_iter().zip(own).map(|((client, terms), own)| (client, own.replaced_in(terms))).collect())
    }
}
