//! The definition of a strategy: plain data and pure functions.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use fltk_core::{
    catalogue::{Choice, StrategyEntry},
    client_terms::{Arrays, ClientTerms, Extras},
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole},
    server_state::{ServerState, WrongLength},
};

use super::{
    float_spans,
    method::ClientMethod,
    own::{CombineError, Own, OwnFailure},
    parameters::changes_in,
    weight,
};

/// A strategy: its terms for clients, the extras that it wants back, and how updates become the next global model. Each has its own file in
/// this folder.
#[derive(Debug)]
pub struct Spec {
    /// The name in experiment files, the publication, and the parameters.
    pub entry: StrategyEntry,
    /// The scalars that it wants back from each client, in addition to the model.
    pub extras: &'static [Extra],
    /// The names of the arrays and scalars that each client keeps between the rounds in which it takes part, such as a control variate;
    /// empty for none. They are passed to the trainer with the client's samples, and never to the server, which sees only what `extras`
    /// asks for. A trainer gets the state after the client's last round that counted ([`TrainOrder::kept`](crate::round::TrainOrder::kept)),
    /// and returns the next one with its update ([`with_state`](crate::client::with_state)); it refuses names that it doesn't know.
    pub keeps: &'static [&'static str],
    /// The arrays over the elements of all parameters that it wants back from each client, in addition to the model.
    pub arrays: &'static [Array],
    /// The values that it keeps on the server between rounds: all that it leaves in [`ServerState`] after a round.
    pub state: &'static [Kept],
    /// True if the next model depends on [`Update::learning_rate`].
    pub uses_client_rate: bool,
    /// Returns the number of samples that the server holds itself, under a strategy that has it train beside the clients; `None` for others. Its
    /// update has the number after the last client's ([`Gathering::root`]).
    pub root: Option<fn(&Choice) -> u32>,
    /// The training at a client: plain training by the round's terms ([`ClientMethod::PLAIN`]), or passes of its own.
    pub client: ClientMethod,
    /// Sets the terms for the clients of a round; initially they are those of plain local training.
    pub set_terms: SetTerms,
    /// Creates the state before the first update: [`Gathered::sums`] or [`Gathered::updates`].
    pub begin: Begin,
    /// Takes the next client's update, in client order. It either adds the update to sums, so that memory is that of a few models for any
    /// size of the cohort; or keeps it ([`Gathered::keep`]), for strategies that need all updates at once, such as medians.
    pub take: Take,
    /// Returns the next global model. Its elements may be infinite if updates are extreme: it is checked afterwards. May change the
    /// strategy's state on the server.
    pub finish: Finish,
}

/// The function that sets the terms of a round.
pub type SetTerms = fn(&Choice, &ServerState, &mut ClientTerms);

/// The function that creates the state before the first update.
pub type Begin = fn(&Gathering<'_>) -> Gathered;

/// The function that takes the next client's update.
pub type Take = fn(&Gathering<'_>, &mut Gathered, Update);

/// The function that returns the next global model.
pub type Finish = fn(&Gathering<'_>, Gathered, &mut ServerState) -> Result<ModelState, WrongLength>;

impl Spec {
    /// Creates a strategy that adds updates to sums ([`Gathered::sums`]) by `take`. It asks clients for nothing but plain training.
    #[must_use]
    pub const fn fold(entry: StrategyEntry, take: Take, finish: Finish) -> Self {
        let (client, set_terms, begin): (_, SetTerms, Begin) = (ClientMethod::PLAIN, |_, _, _| (), Gathered::sums);
        Self {
            entry,
            extras: &[],
            keeps: &[],
            arrays: &[],
            state: &[],
            uses_client_rate: false,
            root: None,
            client,
            set_terms,
            begin,
            take,
            finish,
        }
    }

    /// Creates a strategy that needs all updates at once ([`Gathered::keep`]). It asks clients for nothing but plain training.
    #[must_use]
    pub const fn collect(entry: StrategyEntry, finish: Finish) -> Self {
        Self { begin: Gathered::updates, ..Self::fold(entry, Gathered::keep, finish) }
    }

    /// Creates a rule that withstands clients that send anything. It needs all updates at once, and nothing but plain training.
    #[must_use]
    pub const fn robust(entry: StrategyEntry, finish: Finish) -> Self {
        Self::collect(entry.robust(), finish)
    }

    /// Returns the same strategy with what it keeps on the server.
    #[must_use]
    pub const fn state(self, state: &'static [Kept]) -> Self {
        Self { state, ..self }
    }

    /// Returns true if samples don't weigh, buffers are medians, and a client that fails or sends numbers that aren't finite costs its update,
    /// not the run.
    #[must_use]
    pub const fn is_robust(&self) -> bool {
        self.entry.is_robust
    }

    /// Returns the name in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.entry.entry.name
    }
}

impl PartialEq for Spec {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// A scalar that a client sends back in addition to its model.
#[derive(Debug)]
pub struct Extra {
    /// The name of the scalar.
    pub name: &'static str,
    /// The meaning, in one sentence.
    pub doc: &'static str,
    /// True if `value` is possible for a client that took this many steps. It is called with finite values only.
    pub is_possible: fn(value: f64, num_steps: u64) -> bool,
}

/// An array over the elements of all parameters that a client sends back in addition to its model.
#[derive(Debug)]
pub struct Array {
    /// The name of the array.
    pub name: &'static str,
    /// The meaning, in one sentence.
    pub doc: &'static str,
}

/// A value that a strategy keeps on the server.
#[derive(Debug)]
pub struct Kept {
    /// The name in [`ServerState`].
    pub name: &'static str,
    /// The meaning, and the value before the first round, in one sentence.
    pub doc: &'static str,
    /// True if it is an array over the elements of all parameters; otherwise it is a scalar.
    pub is_array: bool,
}

impl Kept {
    /// Creates an array over the elements of all parameters.
    #[must_use]
    pub const fn array(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, is_array: true }
    }

    /// Creates a scalar.
    #[must_use]
    pub const fn scalar(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, is_array: false }
    }
}

/// The context of a round while its updates are combined.
#[derive(Clone, Copy, Debug)]
pub struct Gathering<'a> {
    /// The strategy's settings.
    pub config: &'a Choice,
    /// The round.
    pub round: Round,
    /// The model from which the clients started.
    pub global: &'a Arc<ModelState>,
    /// The contiguous ranges of [`ModelState::floats`] that are parameters or buffers, in order.
    pub spans: &'a [(TensorRole, Range<usize>)],
    /// The total number of samples of the cohort, as a weight.
    pub total: f64,
    /// The number of all clients, of which the cohort is a part.
    pub num_clients: u32,
}

impl<'a> Gathering<'a> {
    /// Returns the ranges of [`ModelState::floats`] that are parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        self.spans.iter().filter(|(role, _)| *role == TensorRole::Parameter).map(|(_, span)| span.clone())
    }

    /// Returns the number under which the server's own update comes, if there is one.
    #[must_use]
    pub const fn root(&self) -> ClientId {
        ClientId(self.num_clients)
    }

    /// Returns the number of elements of all parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.parameters().map(|span| span.len()).sum()
    }

    /// Returns the change of every parameter from the global model to `state`, in order. It is exact but for one rounding to f64.
    pub fn changes<'b>(&self, state: &'b ModelState) -> impl Iterator<Item = f64> + use<'a, 'b>
    where
        'a: 'b,
    {
        changes_in(self.parameters(), self.global, state)
    }
}

/// One client's update, as passed to a strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The client.
    pub client: ClientId,
    /// The client's model, in the layout of the global one.
    pub state: ModelState,
    /// The model that it started from, if that isn't the one that is current ([`Gathering::global`]): under an asynchronous strategy.
    pub base: Option<Arc<ModelState>>,
    /// The number of models that were made since: 0 if it started from the current one.
    pub staleness: u32,
    /// The number of samples that it holds according to the partition, not as reported by the client.
    pub samples: u64,
    /// The number of optimizer steps that it took.
    pub steps: u64,
    /// The step size of its local steps.
    pub learning_rate: f64,
    /// The extras that the strategy asked for, in addition to the model.
    pub extras: Extras,
    /// The arrays that the strategy asked for, each with an element for every parameter's, in order.
    pub arrays: Arrays,
}

impl Update {
    /// Returns its number of samples as a weight. This is exact.
    #[must_use]
    pub fn weight(&self) -> f64 {
        weight(self.samples)
    }

    /// Returns the extra of this name; 0 if none was asked for.
    #[must_use]
    pub fn extra(&self, name: &str) -> f64 {
        self.extras.get(name).copied().unwrap_or(0.0)
    }
}

/// The intermediate state of a round's aggregation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// The sums for each float of the model; empty if updates are kept.
    pub floats: Vec<f64>,
    /// The maximum of each counter; empty if updates are kept.
    pub counters: Vec<i64>,
    /// The number of updates that were taken.
    pub num_updates: u32,
    /// The samples of all clients whose updates were taken, as a weight.
    pub samples: f64,
    /// Other sums, by name; absent until something is added.
    pub scalars: BTreeMap<&'static str, f64>,
    /// Other sums over the elements of all parameters, by name; absent until something is added.
    pub arrays: BTreeMap<&'static str, Vec<f64>>,
    /// The updates that are kept, in client order.
    pub updates: Vec<Update>,
}

impl Gathered {
    /// Creates empty sums. Those of floats start from -0, the only number that changes no summand: +0 would turn -0 into +0.
    #[must_use]
    pub fn sums(round: &Gathering<'_>) -> Self {
        let (floats, counters) = (vec![-0.0; round.global.floats.len()], vec![i64::MIN; round.global.counters.len()]);
        Self { floats, counters, ..Self::default() }
    }

    /// Creates an empty list of updates.
    #[must_use]
    pub fn updates(_: &Gathering<'_>) -> Self {
        Self::default()
    }

    /// Keeps an update: the `take` of strategies that need all of them.
    pub fn keep(_: &Gathering<'_>, gathered: &mut Self, update: Update) {
        gathered.updates.push(update);
    }

    /// Returns the number of updates, as a divisor.
    #[must_use]
    pub fn count(&self) -> f64 {
        f64::from(self.num_updates)
    }

    /// Adds to the scalar of this name.
    pub fn add(&mut self, name: &'static str, value: f64) {
        *self.scalars.entry(name).or_insert(0.0) += value;
    }

    /// Adds to the array of this name, element by element.
    pub fn add_array(&mut self, name: &'static str, values: &[f32]) {
        let sums = self.arrays.entry(name).or_insert_with(|| vec![0.0; values.len()]);
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += f64::from(value);
        }
    }

    /// Returns the scalar of this name; 0 if nothing was added.
    #[must_use]
    pub fn scalar(&self, name: &str) -> f64 {
        self.scalars.get(name).copied().unwrap_or(0.0)
    }

    /// Takes a client's counters into account: the maximum counts.
    pub fn take_counters(&mut self, state: &ModelState) {
        for (counter, &other) in self.counters.iter_mut().zip(&state.counters) {
            *counter = (*counter).max(other);
        }
    }
}

/// The facts of a round's clients that its aggregation needs before they answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CohortFacts {
    /// The number of samples that the cohort's clients hold in total.
    pub total_samples: u64,
    /// The number of all clients, of which the cohort is a part.
    pub num_clients: u32,
}

/// The aggregation of one round's updates as they arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregator {
    strategy: &'static Spec,
    config: Choice,
    round: Round,
    global: Arc<ModelState>,
    spans: Vec<(TensorRole, Range<usize>)>,
    total: f64,
    num_clients: u32,
    /// Absent before the first update: sums have the size of two models.
    gathered: Option<Gathered>,
    /// The strategy of the user's own that combines the updates, if one does.
    own: Option<Own>,
    /// The reason why that one took an update no more.
    own_failure: Option<OwnFailure>,
}

impl Aggregator {
    /// Creates the aggregator of a round that starts from `global`.
    #[must_use]
    pub fn new(strategy: &'static Spec, config: &Choice, round: Round, global: Arc<ModelState>, cohort: CohortFacts) -> Self {
        let CohortFacts { total_samples, num_clients } = cohort;
        let (spans, total) = (float_spans(&global), weight(total_samples));
        let (gathered, own, own_failure) = (None, None, None);
        Self { strategy, config: config.clone(), round, global, spans, total, num_clients, gathered, own, own_failure }
    }

    /// Returns the same aggregator, whose updates a strategy of the user's own combines, if there is one.
    pub(crate) fn with_own(self, own: Option<Own>) -> Self {
        Self { own, ..self }
    }

    /// Removes and returns the intermediate state.
    fn gathered(&mut self) -> Gathered {
        self.gathered.take().unwrap_or_else(|| (self.strategy.begin)(&self.context()))
    }

    fn context(&self) -> Gathering<'_> {
        let Self { ref config, round, ref global, ref spans, total, num_clients, .. } = *self;
        Gathering { config, round, global, spans, total, num_clients }
    }

    /// Returns the number of elements of all parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.context().num_parameters()
    }

    /// Takes the next client's update, in client order.
    pub fn take(&mut self, update: Update) {
        if let Some(Own(own)) = &self.own {
            if self.own_failure.is_none() {
                self.own_failure = own.take(&update).err();
            }
            return;
        }
        let mut gathered = self.gathered();
        gathered.num_updates += 1;
        gathered.samples += update.weight();
        (self.strategy.take)(&self.context(), &mut gathered, update);
        self.gathered = Some(gathered);
    }

    /// Returns the next global model.
    ///
    /// # Errors
    /// If the strategy's state is that of another model, or a strategy of the user's own has no answer.
    pub fn finish(mut self, server: &mut ServerState) -> Result<ModelState, CombineError> {
        if let Some(Own(own)) = &self.own {
            let answer = self.own_failure.map_or_else(|| own.finish(), Err)?;
            server.own = answer.state;
            return Ok(answer.model);
        }
        let gathered = self.gathered();
        Ok((self.strategy.finish)(&self.context(), gathered, server)?)
    }
}

/// Computes the next global model of a round that starts from `global`, given each client's number of samples, extras and model, for
/// clients from 0 on.
#[cfg(test)]
pub(super) fn combine(
    strategy: &'static Spec,
    config: &Choice,
    global: &ModelState,
    updates: Vec<(u64, Extras, ModelState)>,
    server: &mut ServerState,
) -> ModelState {
    let total = updates.iter().map(|(samples, ..)| samples).sum();
    let num_clients = u32::try_from(updates.len()).unwrap_or(u32::MAX);
    let cohort = CohortFacts { total_samples: total, num_clients };
    let mut aggregator = Aggregator::new(strategy, config, Round(1), Arc::new(global.clone()), cohort);
    for (client, (samples, extras, state)) in (0..).zip(updates) {
        let (base, staleness, arrays) = (None, 0, Arrays::new());
        aggregator.take(Update { client: ClientId(client), state, base, staleness, samples, steps: 1, learning_rate: 0.5, extras, arrays });
    }
    aggregator.finish(server).expect("what is remembered fits the model")
}
