//! What a strategy is: plain data and functions of values.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use fltk_core::{
    client_terms::{ClientTerms, Extras},
    experiment::StrategyConfig,
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole},
    server_state::{ServerState, WrongLength},
};

use super::{float_spans, weight};

/// A strategy: what it asks of clients, what it wants back, and how updates become the next global model. One file each, beside this one.
#[derive(Debug)]
pub struct Spec {
    /// Its name in experiment files.
    pub name: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// What it wants back from each client beside the model.
    pub extras: &'static [Extra],
    /// Sets what it asks of the clients of a round, in terms that are those of plain local training until then.
    pub set_terms: fn(&StrategyConfig, &ServerState, &mut ClientTerms),
    /// What is gathered before the first update: [`Gathered::sums`] or [`Gathered::updates`].
    pub begin: fn(&Gathering<'_>) -> Gathered,
    /// Takes in the next client's update, in the order of clients: adds it to sums, so that memory is that of a few models whatever the size of the
    /// cohort, or keeps it ([`Gathered::keep`]) for what needs to see all of them beside each other, such as medians.
    pub take: fn(&Gathering<'_>, &mut Gathered, Update),
    /// The next global model. Its elements may be infinite where updates are extreme: it is checked afterwards. May change what is remembered on
    /// the server.
    pub finish: fn(&Gathering<'_>, Gathered, &mut ServerState) -> Result<ModelState, WrongLength>,
}

impl PartialEq for Spec {
    /// Names are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A scalar that a client sends back beside its model.
#[derive(Debug)]
pub struct Extra {
    /// Its name.
    pub name: &'static str,
    /// True if `value` is possible for a client that took this many steps. Only finite values are put to it.
    pub is_possible: fn(value: f64, num_steps: u64) -> bool,
}

/// What is known of a round while its updates are combined.
#[derive(Clone, Copy, Debug)]
pub struct Gathering<'a> {
    /// The strategy's settings.
    pub config: &'a StrategyConfig,
    /// The round.
    pub round: Round,
    /// The model that clients started from.
    pub global: &'a Arc<ModelState>,
    /// The runs of [`ModelState::floats`] that are parameters and those that are buffers, in order.
    pub spans: &'a [(TensorRole, Range<usize>)],
    /// Samples that the cohort holds together, as a weight.
    pub total: f64,
}

/// One client's update as a strategy sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The client.
    pub client: ClientId,
    /// Its model, in the layout of the global one.
    pub state: ModelState,
    /// Samples that it holds, by the partition: not what it says about itself.
    pub samples: u64,
    /// Optimizer steps that it took.
    pub steps: u64,
    /// What was asked for beside the model.
    pub extras: Extras,
}

impl Update {
    /// Its samples as a weight. Exact.
    #[must_use]
    pub fn weight(&self) -> f64 {
        weight(self.samples)
    }

    /// The extra of this name; 0 where none was asked for.
    #[must_use]
    pub fn extra(&self, name: &str) -> f64 {
        self.extras.get(name).copied().unwrap_or(0.0)
    }
}

/// What was gathered of a round so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// Sums for each float of the model; empty where updates are kept.
    pub floats: Vec<f64>,
    /// The largest of each counter; empty where updates are kept.
    pub counters: Vec<i64>,
    /// Other sums, by name; absent until something is added.
    pub scalars: BTreeMap<&'static str, f64>,
    /// Updates that are kept, in the order of clients.
    pub updates: Vec<Update>,
}

impl Gathered {
    /// Sums of nothing. Those of floats start from -0, the one number that changes no summand: +0 would turn -0 into +0.
    #[must_use]
    pub fn sums(round: &Gathering<'_>) -> Self {
        let (floats, counters) = (vec![-0.0; round.global.floats.len()], vec![i64::MIN; round.global.counters.len()]);
        Self { floats, counters, ..Self::default() }
    }

    /// No update yet.
    #[must_use]
    pub fn updates(_: &Gathering<'_>) -> Self {
        Self::default()
    }

    /// Keeps an update: the `take` of strategies that need all of them.
    pub fn keep(_: &Gathering<'_>, gathered: &mut Self, update: Update) {
        gathered.updates.push(update);
    }

    /// Adds to the scalar of this name.
    pub fn add(&mut self, name: &'static str, value: f64) {
        *self.scalars.entry(name).or_insert(0.0) += value;
    }

    /// The scalar of this name; 0 where nothing was added.
    #[must_use]
    pub fn scalar(&self, name: &str) -> f64 {
        self.scalars.get(name).copied().unwrap_or(0.0)
    }

    /// Takes in a client's counters: the largest counts.
    pub fn take_counters(&mut self, state: &ModelState) {
        for (counter, &other) in self.counters.iter_mut().zip(&state.counters) {
            *counter = (*counter).max(other);
        }
    }
}

/// The updates of one round as they come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregator {
    strategy: &'static Spec,
    config: StrategyConfig,
    round: Round,
    global: Arc<ModelState>,
    spans: Vec<(TensorRole, Range<usize>)>,
    total: f64,
    gathered: Gathered,
}

impl Aggregator {
    /// Nothing yet, for a round that starts from `global` and whose clients hold `total_samples` samples together.
    #[must_use]
    pub fn new(strategy: &'static Spec, config: &StrategyConfig, round: Round, global: Arc<ModelState>, total_samples: u64) -> Self {
        let (spans, total) = (float_spans(&global), weight(total_samples));
        let gathered = (strategy.begin)(&Gathering { config, round, global: &global, spans: &spans, total });
        Self { strategy, config: config.clone(), round, global, spans, total, gathered }
    }

    /// Takes in the next client's update, in the order of clients.
    pub fn take(&mut self, update: Update) {
        let Self { strategy, config, round, global, spans, total, gathered } = self;
        (strategy.take)(&Gathering { config, round: *round, global, spans, total: *total }, gathered, update);
    }

    /// The next global model.
    ///
    /// # Errors
    /// If what the strategy remembers is of another model.
    pub fn finish(self, server: &mut ServerState) -> Result<ModelState, WrongLength> {
        let Self { strategy, config, round, global, spans, total, gathered } = self;
        (strategy.finish)(&Gathering { config: &config, round, global: &global, spans: &spans, total }, gathered, server)
    }
}

/// The next global model of a round from `global` whose clients, from 0 on, hold so many samples and answer with these extras and models.
#[cfg(test)]
pub(super) fn combine(
    strategy: &'static Spec,
    config: &StrategyConfig,
    global: &ModelState,
    updates: Vec<(u64, Extras, ModelState)>,
    server: &mut ServerState,
) -> ModelState {
    let total = updates.iter().map(|(samples, ..)| samples).sum();
    let mut aggregator = Aggregator::new(strategy, config, Round(1), Arc::new(global.clone()), total);
    for (client, (samples, extras, state)) in (0..).zip(updates) {
        aggregator.take(Update { client: ClientId(client), state, samples, steps: 1, extras });
    }
    aggregator.finish(server).expect("what is remembered fits the model")
}
