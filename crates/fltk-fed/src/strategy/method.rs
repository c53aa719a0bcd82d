//! The training at a client as pure functions: which passes over its samples a strategy wants, and what becomes of their results.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Misfit, NetFacts},
    client_state::ClientState,
    client_terms::{Arrays, ClientTerms, Extras, INITIAL_LOSS, NORMALIZER},
    local_pass::{Anchor, LocalPass, Measures, PassResult},
    metrics::TrainSummary,
    model_state::ModelState,
    server_state::WrongLength,
};

use crate::{
    BoxError,
    round::{ClientUpdate, TrainOrder},
};

/// Refuses a TorchScript module for a strategy that can't train one, and says why.
pub(super) fn no_module(name: &str, why: &str, net: &NetFacts) -> Result<(), Misfit> {
    if !net.is_module {
        return Ok(());
    }
    let message = format!("`{name}` {why} at once, which a TorchScript module can't do");
    Err(Misfit { parameter: "type", message, hint: "use one of the catalogue's nets, or another strategy".to_owned() })
}

/// The training at a client. Its functions depend on nothing but their arguments, so that a client's answer is a function of its order and the
/// state that it kept.
#[derive(Clone, Copy, Debug)]
pub struct ClientMethod {
    /// True if the terms of a round say everything, so that the strategy's settings don't matter to trainers.
    pub is_plain: bool,
    /// Returns the next pass, given the results of those before it; `None` after the last. At least one pass is made.
    pub next_pass: NextPass,
    /// Returns the answer to the results of all passes, and changes what the client keeps.
    pub finish: FinishClient,
    /// Returns the model that serves the client itself, given a global model and what it keeps after its last round; `None` if that is the global
    /// model.
    pub personal: Option<PersonalModel>,
}

/// The function that returns the next pass.
pub type NextPass = fn(&ClientRound<'_>, &ClientState, &[PassResult]) -> Result<Option<LocalPass>, WrongLength>;

/// The function that turns results of passes into an answer.
pub type FinishClient = fn(&ClientRound<'_>, &mut ClientState, Vec<PassResult>) -> Result<ClientAnswer, WrongLength>;

/// The function that returns a client's own model.
pub type PersonalModel = fn(&Choice, &ModelState, &ClientState) -> Result<ModelState, WrongLength>;

/// One client's part of a round.
#[derive(Clone, Copy, Debug)]
pub struct ClientRound<'a> {
    /// The strategy's settings.
    pub settings: &'a Choice,
    /// The terms of the round.
    pub terms: &'a ClientTerms,
    /// The global model that the client received.
    pub global: &'a Arc<ModelState>,
}

/// A client's answer, apart from what its order says.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientAnswer {
    /// The model for the server.
    pub state: ModelState,
    /// The summary of the training of that model.
    pub summary: TrainSummary,
    /// The scalars that the strategy asked for.
    pub extras: Extras,
    /// The arrays that the strategy asked for.
    pub arrays: Arrays,
}

impl ClientMethod {
    /// Plain training by the terms of the round, from the global model.
    pub const PLAIN: Self = Self {
        is_plain: true,
        next_pass: |round, _, done| Ok(done.is_empty().then(|| round.plain_pass())),
        finish: |round, _, done| Ok(round.answer(done)),
        personal: None,
    };

    /// Creates training in passes of the strategy's own, without a model that serves the client itself.
    #[must_use]
    pub const fn new(next_pass: NextPass, finish: FinishClient) -> Self {
        Self { is_plain: false, next_pass, finish, personal: None }
    }

    /// Returns the same training, with a model that serves the client itself.
    #[must_use]
    pub const fn with_personal(self, personal: PersonalModel) -> Self {
        Self { personal: Some(personal), ..self }
    }

    /// Carries out `order`: `train` makes the passes, `kept` is what the client kept and becomes what it keeps.
    ///
    /// # Errors
    /// If a pass fails, or what the client kept doesn't fit the model.
    pub fn carry_out(
        &self,
        settings: &Choice,
        order: &TrainOrder,
        kept: &mut ClientState,
        train: &mut dyn FnMut(&LocalPass) -> Result<PassResult, BoxError>,
    ) -> Result<ClientUpdate, BoxError> {
        let round = ClientRound { settings, terms: &order.terms, global: &order.state };
        let mut done = Vec::new();
        while let Some(pass) = (self.next_pass)(&round, kept, &done)? {
            done.push(train(&pass)?);
        }
        let ClientAnswer { state, summary, extras, arrays } = (self.finish)(&round, kept, done)?;
        Ok(ClientUpdate::answer(order, state, summary, extras).with_arrays(arrays))
    }
}

impl ClientRound<'_> {
    /// Returns plain training from the global model by the terms.
    #[must_use]
    pub fn plain_pass(&self) -> LocalPass {
        let ClientTerms { learning_rate, work, proximal_mu: mu, ref extras, .. } = *self.terms;
        let measures = Measures { initial_loss: extras.iter().any(|extra| extra == INITIAL_LOSS), ..Measures::default() };
        let proximal = (mu != 0.0).then(|| Anchor { mu, model: Arc::clone(self.global), is_in_gradient: false });
        LocalPass { proximal, measures, ..LocalPass::plain(Arc::clone(self.global), learning_rate, work) }
    }

    /// Returns the answer that consists of the first pass's result.
    #[must_use]
    pub fn answer(&self, done: Vec<PassResult>) -> ClientAnswer {
        let mut done = done.into_iter();
        let Some(PassResult { state, summary, normalizer, initial_loss, .. }) = done.next() else {
            // A method without passes leaves the model as it is.
            let summary = TrainSummary { num_samples: 0, num_steps: 0, loss: None };
            return ClientAnswer { state: ModelState::clone(self.global), summary, extras: Extras::new(), arrays: Arrays::new() };
        };
        let value = |name: &String| match name.as_str() {
            NORMALIZER => Some((name.clone(), normalizer)),
            INITIAL_LOSS => Some((name.clone(), initial_loss)),
            _ => None,
        };
        ClientAnswer { state, summary, extras: self.terms.extras.iter().filter_map(value).collect(), arrays: Arrays::new() }
    }

    /// Returns the array of this name that the strategy sent; zeros in its first round, when it sends none.
    ///
    /// # Errors
    /// If it has another length than `len`: it belongs to another model.
    pub fn array(&self, name: &str, len: usize) -> Result<Vec<f32>, WrongLength> {
        match self.terms.arrays.get(name) {
            None => Ok(vec![0.0; len]),
            Some(array) if array.len() == len => Ok(array.clone()),
            Some(array) => Err(WrongLength { name: name.to_owned(), found: array.len(), expected: len }),
        }
    }
}
