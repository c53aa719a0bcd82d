//! A round of an asynchronous strategy: clients work all the time, and it ends when the strategy's buffer is full, whenever their clients began.
//!
//! ```text
//! client 3   [== round 1 ==]  [===== round 2 =====]        A client begins from the newest model in the round that is being
//! client 7   [======= round 1 =======]  [== round 3 ==]    filled, and counts in the round in which its answer comes.
//! model      0        1         2          3
//! ```
//!
//! In a round, a client counts once at most. So an order is known by its round and its client, as under the other strategies.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fltk_core::{
    attendance::Absence,
    client_terms::ClientTerms,
    ids::{ClientId, Round},
    metrics::TrainSummary,
    model_state::ModelState,
    server_state::{InFlight, ServerState},
};

use super::{
    AbsenceRecord, ClientRecord, ClientUpdate, Combined, Failure, ProtocolError, Record, Setup, Timestamp, TrainOrder, content,
    script::Script,
};
use crate::{
    attack::{Alone, How},
    selection::{Observing, Trained},
    simulation::Micros,
    state_check::check_like,
    strategy::{Aggregator, CohortFacts, CombineError, Update},
};

/// The clients that work, and the round that is being filled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flow {
    round: Round,
    /// The newest model.
    state: Arc<ModelState>,
    in_flight: BTreeMap<ClientId, Flight>,
    arrived: Vec<Arrived>,
    /// The clients that the round is over for: they have arrived, or were lost.
    done: BTreeSet<ClientId>,
    absences: BTreeMap<Absence, (u32, Option<String>)>,
    num_picks: u32,
    wake: Option<Timestamp>,
    /// The rounds to repeat, and the answers that count in later ones of them.
    script: Script,
    early: BTreeMap<ClientId, Arrived>,
}

#[derive(Clone, Debug, PartialEq)]
struct Flight {
    round: Round,
    base: Arc<ModelState>,
    terms: Arc<ClientTerms>,
    given: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
struct Arrived {
    flight: Flight,
    update: ClientUpdate,
    at: Timestamp,
}

impl Flow {
    /// Creates the flow of a run that begins, or goes on from a checkpoint, after `completed`, and repeats what `script` says.
    pub(super) fn new(setup: &Setup, completed: Round, state: Arc<ModelState>, server: &ServerState, script: Script) -> Self {
        let flight = |of: &InFlight| {
            let before = Round(of.round.0.saturating_sub(1));
            let base = match server.bases.get(&before) {
                Some(base) if base.layout.is_empty() => Arc::new(ModelState { layout: Arc::clone(&state.layout), ..base.as_ref().clone() }),
                Some(base) => Arc::clone(base),
                None => Arc::clone(&state),
            };
            let terms = setup.terms_of(of.client, of.round, &Arc::new(setup.terms(of.round, server)));
            // The wall clock begins anew with each start.
            let given = if setup.fleet.is_some() { Micros(of.given).into() } else { Timestamp::default() };
            (of.client, Flight { round: of.round, base, terms, given })
        };
        let in_flight = server.in_flight.iter().map(flight).collect();
        let (arrived, done, absences) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        let early = BTreeMap::new();
        Self { round: Round(completed.0 + 1), state, in_flight, arrived, done, absences, num_picks: 0, wake: None, script, early }
    }

    /// Returns the time at which clients may be there that are needed; `None` if nobody is waited for.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// Begins the next round, which starts from `state`. Whoever works goes on.
    pub(super) fn next(self, state: Arc<ModelState>) -> Self {
        let round = Round(self.round.0 + 1);
        let is_due = |arrived: &Arrived| self.script.counts_in(round, arrived.update.client, arrived.flight.round) == Some(round);
        let (due, early): (Vec<Arrived>, Vec<Arrived>) = self.early.into_values().partition(is_due);
        let early = early.into_iter().map(|arrived| (arrived.update.client, arrived)).collect();
        let done = due.iter().map(|arrived| arrived.update.client).collect();
        Self { round, state, arrived: due, done, absences: BTreeMap::new(), num_picks: 0, wake: None, early, ..self }
    }

    /// Returns the orders of those who work, for transports that don't have them yet.
    pub(super) fn orders(&self, setup: &Setup) -> Vec<TrainOrder> {
        self.in_flight.iter().map(|(client, flight)| order(setup, *client, flight)).collect()
    }

    /// Has clients begin until as many work as are to, as far as there are some. Returns their orders, and records of those that don't answer.
    ///
    /// # Errors
    /// If nobody works, and nobody will.
    pub(super) fn refill(
        &mut self,
        setup: &Setup,
        server: &ServerState,
        now: Timestamp,
    ) -> Result<(Vec<TrainOrder>, Vec<Record>), Failure> {
        let (mut orders, mut records) = (Vec::new(), Vec::new());
        let wanted = setup.config.clients_per_round as usize;
        self.wake = None;
        if let Some(scripted) = self.script.get(self.round) {
            if self.num_picks == 0 {
                records.extend(scripted.absences.iter().cloned().map(Record::ClientAbsent));
                orders = self.begin(&self.script.begins(self.round), setup, server, now);
                self.num_picks = 1;
            }
            return if self.in_flight.is_empty() && !self.is_full(setup) { Err(self.too_few(setup)) } else { Ok((orders, records)) };
        }
        while self.in_flight.len() < wanted {
            let is_free = |client: &ClientId| !self.in_flight.contains_key(client) && !self.done.contains(client);
            let eligible: Vec<ClientId> = setup.eligible_at(now).iter().copied().filter(is_free).collect();
            if eligible.is_empty() {
                self.wake = self.next_return(setup, now);
                break;
            }
            let losses = BTreeMap::new();
            let mut selecting = setup.selecting(self.round, server, &eligible, &losses, &self.state);
            (selecting.amount, selecting.pick) = (wanted - self.in_flight.len(), self.num_picks);
            self.num_picks += 1;
            let mut begins = Vec::new();
            for client in setup.selection.cohort(&selecting) {
                match setup.faults.absence(setup.seed, self.round, client) {
                    Some(absence) => records.push(self.lose(client, absence, None)),
                    None => begins.push(client),
                }
            }
            orders.extend(self.begin(&begins, setup, server, now));
        }
        if self.in_flight.is_empty() && self.wake.is_none() {
            return Err(self.too_few(setup));
        }
        Ok((orders, records))
    }

    /// Has clients begin from the newest model.
    fn begin(&mut self, clients: &[ClientId], setup: &Setup, server: &ServerState, now: Timestamp) -> Vec<TrainOrder> {
        let usual = Arc::new(setup.terms(self.round, server));
        let begin = |&client: &ClientId| {
            let terms = setup.terms_of(client, self.round, &usual);
            let flight = Flight { round: self.round, base: Arc::clone(&self.state), terms, given: now };
            let order = order(setup, client, &flight);
            self.in_flight.insert(client, flight);
            order
        };
        clients.iter().map(begin).collect()
    }

    /// Returns the time at which a client comes back that could work in this round.
    fn next_return(&self, setup: &Setup, now: Timestamp) -> Option<Timestamp> {
        let fleet = setup.fleet.as_ref().filter(|fleet| !fleet.is_always_there())?;
        let free = setup.eligible.iter().filter(|client| !self.in_flight.contains_key(client) && !self.done.contains(client));
        let returns = free.filter_map(|client| fleet.presence(*client, now.into()).until);
        returns.filter(|until| *until < Micros::MAX).min().map(Timestamp::from)
    }

    fn too_few(&self, setup: &Setup) -> Failure {
        let absences = self.absences.iter().map(|(absence, (count, told))| (*absence, *count, told.clone())).collect();
        let at_most = u32::try_from(self.arrived.len()).unwrap_or(u32::MAX);
        Failure::Unfilled { round: self.round, buffer: setup.buffer().unwrap_or(1), at_most, absences }
    }

    /// Checks that an answer of `client` to an order of `round` is awaited.
    pub(super) fn check_awaited(&self, round: Round, client: ClientId, setup: &Setup) -> Result<(), ProtocolError> {
        let (current, num_clients) = (self.round, setup.samples.len());
        if client.0 as usize >= num_clients {
            return Err(ProtocolError::UnknownClient { client, num_clients });
        }
        match self.in_flight.get(&client) {
            Some(flight) if flight.round == round => Ok(()),
            _ if round > current => Err(ProtocolError::FutureRound { round, current }),
            Some(flight) if round < flight.round => Err(ProtocolError::PastRound { round, current }),
            _ if self.arrived.iter().any(|arrived| (arrived.flight.round, arrived.update.client) == (round, client)) => {
                Err(ProtocolError::Duplicate { round, client })
            }
            _ => Err(ProtocolError::NotSelected { round, client }),
        }
    }

    /// Checks that an update is awaited and can be used.
    pub(super) fn check(&self, update: &ClientUpdate, setup: &Setup) -> Result<(), ProtocolError> {
        self.check_awaited(update.round, update.client, setup)?;
        content::check(update, &self.state, crate::strategy::num_parameters(&self.state), setup.strategy)
    }

    /// Takes the update, which [`Self::check`] accepts. Returns a record if the client's attack made it unusable.
    pub(super) fn take(&mut self, mut update: ClientUpdate, setup: &Setup, now: Timestamp) -> Option<Record> {
        let (client, flight) = self.in_flight.remove_entry(&update.client)?;
        if let Some((attack, settings)) = setup.faults.attack()
            && setup.faults.is_malicious(client)
            && let How::Alone(send) = attack.how
        {
            let alone = Alone { settings, seed: setup.seed, round: flight.round, client, global: &flight.base };
            send(&alone, &mut update.state);
            if let Err(problem) = check_like(&flight.base, &update.state) {
                return Some(self.lose(client, Absence::Failed, Some(format!("its attack can't be used: {problem}"))));
            }
        }
        let (round, arrived) = (self.round, Arrived { flight, update, at: now });
        if self.script.get(round).is_some() {
            match self.script.counts_in(round, client, arrived.flight.round) {
                Some(counts_in) if counts_in > round => drop(self.early.insert(client, arrived)),
                Some(_) => self.arrived.push(arrived),
                // It didn't count before, at least not in a round that ended: whether it does is decided when it works again.
                None => {}
            }
            return None;
        }
        self.done.insert(client);
        self.arrived.push(arrived);
        None
    }

    /// Goes on without a client, in this round.
    pub(super) fn lose(&mut self, client: ClientId, absence: Absence, reason: Option<String>) -> Record {
        self.in_flight.remove(&client);
        self.done.insert(client);
        let (count, told) = self.absences.entry(absence).or_default();
        *count += 1;
        if told.is_none() {
            *told = reason.as_ref().map(|reason| format!("client `{client}`: {reason}"));
        }
        Record::ClientAbsent(AbsenceRecord { round: self.round, client, absence, reason })
    }

    /// Returns true if `client`, which works, counted in an earlier start of this run, and so has to count again.
    pub(super) fn has_to_count(&self, client: ClientId) -> bool {
        let began = self.in_flight.get(&client).map(|flight| flight.round);
        began.is_some_and(|began| self.script.counts_in(self.round, client, began).is_some())
    }

    /// Returns true if the round has all of its updates.
    pub(super) fn is_full(&self, setup: &Setup) -> bool {
        self.arrived.len() >= setup.buffer().unwrap_or(1) as usize
    }

    /// Combines the updates of a full round, in the order of the rounds in which their clients began, and of clients; returns their records, too. Updates
    /// the strategy's state.
    ///
    /// # Errors
    /// If the strategy's state is that of another model.
    pub(super) fn combine(&mut self, setup: &Setup, server: &mut ServerState) -> Result<(Combined, Vec<Record>), CombineError> {
        let (round, is_virtual) = (self.round, setup.fleet.is_some());
        let mut arrived = std::mem::take(&mut self.arrived);
        arrived.sort_by_key(|arrived| (arrived.flight.round, arrived.update.client));
        let total_samples = arrived.iter().map(|arrived| setup.samples_of(arrived.update.client)).sum();
        let facts = CohortFacts { total_samples, num_clients: setup.config.clients.num() };
        let mut aggregator = Aggregator::new(setup.strategy, &setup.config.strategy, round, Arc::clone(&self.state), facts);
        let (mut records, mut trained, mut clients) = (Vec::new(), Vec::new(), Vec::new());
        let (mut num_samples, mut num_steps, mut loss_sum) = (0_u64, 0_u64, 0.0);
        for Arrived { flight, update, at } in arrived {
            let ClientUpdate { client, state, train, extras, arrays, seconds, .. } = update;
            let staleness = round.0 - flight.round.0;
            let (samples, learning_rate, steps) = (setup.samples_of(client), flight.terms.learning_rate, train.num_steps);
            let base = (staleness > 0).then_some(flight.base);
            aggregator.take(Update { client, state, base, staleness, samples, steps, learning_rate, extras, arrays });
            let (virtual_seconds, malicious) = (is_virtual.then(|| Micros::from(at).as_seconds()), setup.faults.is_malicious(client));
            let record = ClientRecord { round, client, train, seconds, virtual_seconds, staleness: Some(staleness), malicious };
            records.push(Record::ClientTrained(record));
            trained.push(Trained { client, summary: train, duration: is_virtual.then(|| at.seconds_since(flight.given)) });
            clients.push(client);
            num_samples = num_samples.saturating_add(train.num_samples);
            num_steps = num_steps.saturating_add(train.num_steps);
            loss_sum += train.loss.unwrap_or(0.0) * as_f64(train.num_samples);
        }
        trained.sort_by_key(|trained| trained.client);
        clients.sort_unstable();
        let (settings, samples) = (&setup.config.selection, &setup.samples[..]);
        (setup.selection.observe)(&Observing { settings, round, samples, trained: &trained }, server);
        let train = TrainSummary { num_samples, num_steps, loss: (num_samples > 0).then(|| loss_sum / as_f64(num_samples)) };
        Ok((Combined { clients, state: aggregator.finish(server)?, train }, records))
    }

    /// Notes in the server's state who works, for a checkpoint.
    pub(super) fn remember(&self, server: &mut ServerState) {
        // Answers that count in later rounds than this, which repeat earlier ones, will be asked for again.
        let early = self.early.iter().map(|(client, arrived)| (*client, &arrived.flight));
        for (client, Flight { round, base, given, .. }) in self.in_flight.iter().map(|(client, flight)| (*client, flight)).chain(early) {
            server.in_flight.push(InFlight { client, round: *round, given: Micros::from(*given).0 });
            server.bases.entry(Round(round.0 - 1)).or_insert_with(|| Arc::clone(base));
        }
        server.in_flight.sort_by_key(|of| of.client);
    }
}

/// Checks the clients that work according to a checkpoint after `completed`, whose model is `state`.
pub(super) fn check(setup: &Setup, completed: Round, state: &ModelState, server: &ServerState) -> Result<(), String> {
    let ServerState { in_flight, bases, .. } = server;
    if let Some(of) = in_flight.iter().find(|of| setup.samples.get(of.client.0 as usize).is_none_or(|samples| *samples == 0)) {
        return Err(format!("client `{}` has no samples", of.client));
    }
    if let Some(pair) = in_flight.windows(2).find(|pair| pair[0].client >= pair[1].client) {
        return Err(format!("client `{}` is out of order", pair[1].client));
    }
    let is_missing = |of: &&InFlight| of.round.0 == 0 || of.round > completed || !bases.contains_key(&Round(of.round.0 - 1));
    if let Some(of) = in_flight.iter().find(is_missing) {
        return Err(format!("the model that client `{}` started from in round `{}` is missing", of.client, of.round));
    }
    let fits = |numbers: &ModelState| (numbers.floats.len(), numbers.counters.len()) == (state.floats.len(), state.counters.len());
    match bases.iter().find(|(_, numbers)| !fits(numbers) || numbers.floats.iter().any(|value| !value.is_finite())) {
        Some((round, _)) => Err(format!("the model after round `{round}` isn't one of this net")),
        None => Ok(()),
    }
}

fn order(setup: &Setup, client: ClientId, flight: &Flight) -> TrainOrder {
    let flips = matches!(setup.faults.attack(), Some((attack, _)) if matches!(attack.how, How::FlipLabels));
    TrainOrder {
        round: flight.round,
        client,
        seed: setup.seed,
        state: Arc::clone(&flight.base),
        terms: Arc::clone(&flight.terms),
        kept: None,
        flips_labels: flips && setup.faults.is_malicious(client),
        given: flight.given,
        settings: setup.settings,
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a mean loss needs no more")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
