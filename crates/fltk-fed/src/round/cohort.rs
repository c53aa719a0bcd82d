//! One round in training: the selected clients, the answers received, and the sums so far.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    client_terms::ClientTerms,
    ids::{ClientId, Round},
    metrics::TrainSummary,
    model_state::ModelState,
    seed::Seed,
    server_state::{ServerState, WrongLength},
};

use super::{ClientRecord, ClientUpdate, ProtocolError, SettingsDigest, Setup, Timestamp, TrainOrder, samples_of};
use crate::{
    selection::Selecting,
    state_check::check_like,
    strategy::{Aggregator, Array, CohortFacts, Update},
};

/// The limit on counts in a client's summary: larger ones are invalid; below it, sums of losses weighted by them can't overflow.
const COUNT_MAX: u64 = 1 << 53;

/// The clients of one round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cohort {
    round: Round,
    seed: Seed,
    global: Arc<ModelState>,
    /// The terms of the members, by position.
    terms: Vec<Arc<ClientTerms>>,
    began: Timestamp,
    /// The selected clients, ascending.
    members: Vec<ClientId>,
    /// The rounds whose states the members go on from, by position.
    kept: Vec<Option<Round>>,
    settings: SettingsDigest,
    /// The number of members, in order, whose updates are folded.
    num_folded: usize,
    /// Updates that arrived before an earlier member's, by position. These are the only client models that are kept.
    early: BTreeMap<usize, ClientUpdate>,
    aggregator: Aggregator,
    /// Sums over the folded updates: samples, steps, and losses weighted by samples.
    num_samples: u64,
    num_steps: u64,
    loss_sum: f64,
}

impl Cohort {
    /// Selects the clients of `round`, which start from `global`.
    pub(super) fn select(setup: &Setup, round: Round, global: Arc<ModelState>, server: &ServerState, now: Timestamp) -> Self {
        let members = setup.selection.cohort(&Selecting {
            settings: &setup.config.selection,
            seed: setup.seed,
            round,
            eligible: &setup.eligible,
            amount: setup.config.clients_per_round as usize,
            given: setup.given(round),
        });
        let total_samples = members.iter().map(|&client| samples_of(&setup.samples, client)).sum();
        let terms = Arc::new(setup.terms(round, server));
        let facts = CohortFacts { total_samples, num_clients: setup.config.clients };
        let aggregator = Aggregator::new(setup.strategy, &setup.config.strategy, round, Arc::clone(&global), facts);
        Self {
            round,
            seed: setup.seed,
            global,
            terms: members.iter().map(|&client| setup.terms_of(client, round, &terms)).collect(),
            began: now,
            kept: members.iter().map(|&client| server.last_round(client)).collect(),
            members,
            settings: setup.settings,
            num_folded: 0,
            early: BTreeMap::new(),
            aggregator,
            num_samples: 0,
            num_steps: 0,
            loss_sum: 0.0,
        }
    }

    pub(super) fn members(&self) -> &[ClientId] {
        &self.members
    }

    pub(super) fn global(&self) -> &Arc<ModelState> {
        &self.global
    }

    pub(super) fn seconds(&self, now: Timestamp) -> f64 {
        now.seconds_since(self.began)
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = TrainOrder> {
        self.members.iter().zip(&self.kept).zip(&self.terms).map(|((&client, &kept), terms)| TrainOrder {
            round: self.round,
            client,
            seed: self.seed,
            state: Arc::clone(&self.global),
            terms: Arc::clone(terms),
            kept,
            settings: self.settings,
        })
    }

    /// Returns the members without an answer, ascending.
    pub(super) fn missing(&self) -> Vec<ClientId> {
        (self.num_folded..)
            .zip(&self.members[self.num_folded..])
            .filter(|(place, _)| !self.early.contains_key(place))
            .map(|(_, &client)| client)
            .collect()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.num_folded == self.members.len()
    }

    /// Checks that an answer of `client` is awaited, and returns its position among the members.
    pub(super) fn awaited_place(&self, client: ClientId, num_clients: usize) -> Result<usize, ProtocolError> {
        if client.0 as usize >= num_clients {
            return Err(ProtocolError::UnknownClient { client, num_clients });
        }
        let round = self.round;
        let place = self.members.binary_search(&client).map_err(|_| ProtocolError::NotSelected { round, client })?;
        if place < self.num_folded || self.early.contains_key(&place) {
            return Err(ProtocolError::Duplicate { round, client });
        }
        Ok(place)
    }

    /// Checks that an update is awaited and can be used.
    pub(super) fn check(&self, update: &ClientUpdate, setup: &Setup) -> Result<(), ProtocolError> {
        let (round, client) = (self.round, update.client);
        self.awaited_place(client, setup.samples.len())?;
        let number = |what, value| Err(ProtocolError::Number { round, client, what, value });
        let TrainSummary { num_samples, num_steps, loss } = update.train;
        for (what, count) in [("number of samples", num_samples), ("number of steps", num_steps)] {
            if count > COUNT_MAX {
                return number(what, as_f64(count));
            }
        }
        match loss {
            Some(loss) if !loss.is_finite() || loss.abs() > f64::from(f32::MAX) => return number("loss", loss),
            // Without a loss, its samples would count in the mean with a loss of 0.
            None if num_samples > 0 => return number("loss", f64::NAN),
            _ => {}
        }
        if !update.seconds.is_finite() || update.seconds < 0.0 {
            return number("time in seconds", update.seconds);
        }
        for extra in setup.strategy.extras {
            let value = update.extras.get(extra.name).copied().unwrap_or(f64::NAN);
            if !value.is_finite() || !(extra.is_possible)(value, num_steps) {
                return number(extra.name, value);
            }
        }
        let array = |problem| Err(ProtocolError::Array { round, client, problem });
        let expected = self.aggregator.num_parameters();
        for &Array { name, .. } in setup.strategy.arrays {
            match update.arrays.get(name) {
                None => return array(format!("the array `{name}` is missing")),
                Some(values) if values.len() != expected => {
                    return array(format!("the array `{name}` has {} elements, the model needs {expected}", values.len()));
                }
                Some(values) if values.iter().any(|value| !value.is_finite()) => {
                    return array(format!(
                        "the array `{name}` has a number that isn't finite; hint: training diverged, a lower learning rate may help"
                    ));
                }
                Some(_) => {}
            }
        }
        check_like(&self.global, &update.state).map_err(|source| ProtocolError::State { round, client, source })
    }

    /// Adds an update that [`Self::check`] accepts, and folds the updates that are next in client order.
    pub(super) fn fold(&mut self, update: ClientUpdate, setup: &Setup) -> Vec<ClientRecord> {
        if let Ok(place) = self.members.binary_search(&update.client) {
            self.early.insert(place, update);
        }
        let mut records = Vec::new();
        while let Some(ClientUpdate { round, client, state, train, extras, arrays, seconds }) = self.early.remove(&self.num_folded) {
            let (samples, learning_rate) = (samples_of(&setup.samples, client), self.terms[self.num_folded].learning_rate);
            self.aggregator.take(Update { client, state, samples, steps: train.num_steps, learning_rate, extras, arrays });
            self.num_samples = self.num_samples.saturating_add(train.num_samples);
            self.num_steps = self.num_steps.saturating_add(train.num_steps);
            self.loss_sum += train.loss.unwrap_or(0.0) * as_f64(train.num_samples);
            self.num_folded += 1;
            records.push(ClientRecord { round, client, train, seconds });
        }
        records
    }

    /// Returns the members, the next global model, and the summary of their training. Updates the strategy's state.
    pub(super) fn finish(self, server: &mut ServerState) -> Result<(Vec<ClientId>, ModelState, TrainSummary), WrongLength> {
        let loss = (self.num_samples > 0).then(|| self.loss_sum / as_f64(self.num_samples));
        let train = TrainSummary { num_samples: self.num_samples, num_steps: self.num_steps, loss };
        Ok((self.members, self.aggregator.finish(server)?, train))
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a mean loss needs no more")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
