//! The rounds of a federated run as a state machine without clocks, threads, files or a network.
//!
//! ```text
//!            Started
//!   Ready ------------> Training(1) ---enough answered: aggregate--> Training(2) --> ... --> Draining ---last evaluation---> Over
//!                          |  ^                                       |                       (all rounds trained)
//!                          |  |                                       | too much unrecorded
//!                          |  +------------ Held <--------------------+
//!                          +--- an evaluation fails, too few clients are left ---> Over
//! ```
//!
//! If the selection of clients goes by losses of the current model, `Measuring` precedes each `Training`.
//!
//! A round trains while earlier ones are still being evaluated; records are nevertheless emitted in round order. Updates may arrive in any
//! order; they are folded in client order, so the result is bit-identical for every order.
//!
//! **Who counts.** Without [`ParticipationConfig`](fltk_core::experiment::ParticipationConfig), every selected client has to answer (or more than half, under a robust rule): one that fails
//! ends the run. With it, a round ends once each selected client has answered, failed, is late or is not needed any more; then its updates
//! are combined. Each selected client has a record of its part. A run that goes on after an interruption is given these records
//! ([`Federation::repeating`]), and decides nothing again that they say: what a wall clock decided once is then as fixed as what follows from the
//! seed.
//!
//! **Clients with data of their own** come and go ([`Event::ClientCame`], [`Event::ClientLeft`]). A round begins once enough are there, and whoever is away isn't selected.
//!
//! **Updates at other places.** A client that is [ready](Event::ClientReady) counts as if its update were here; its update is [collected](Action::Collect) when its turn in client
//! order is near. So who counts doesn't depend on how long updates are on their way, nor memory on the number of clients.
//!
//! **Caveats.** An update that arrives, without being asked for, before its predecessors in client order is kept until it can be folded, so in the worst case
//! the updates of a whole cohort are in memory.

mod asynchronous;
mod cohort;
mod content;
mod error;
mod flow;
mod measuring;
mod message;
mod probe;
mod reports;
mod script;
mod settings;
mod setup;
mod work;

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    attendance::{Absence, Attendance},
    client_test::ClientEvaluation,
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    model_state::ModelState,
    server_state::ServerState,
};

use self::{
    cohort::Cohort,
    flow::Flow,
    probe::{Measured, Probe},
    reports::{Awaits, Reports},
};
use crate::{
    simulation::Micros,
    state_check::{check_like, check_state},
    strategy::facts,
};

pub use error::{Failure, ProtocolError};
pub use message::{
    AbsenceRecord, Action, ClientRecord, ClientTestRecord, ClientUpdate, EvaluationOrder, Event, LossOrder, Record, RoundRecord,
    TestSamples, Timestamp, TrainOrder,
};
pub use settings::{OtherSettings, SettingsDigest};
pub use setup::{Setup, SetupError};

/// The number of global models that may wait for their evaluation or checkpoint before training pauses. With two, one is evaluated while
/// another waits; two more let training run ahead of an evaluation that takes longer than a round.
pub const MODELS_HELD_MAX: usize = 4;

/// The number of rounds that may wait to be recorded before training pauses. A crash loses these in addition to the rounds since the last
/// checkpoint.
pub const ROUNDS_UNRECORDED_MAX: usize = 64;

/// A federated run.
#[derive(Clone, Debug, PartialEq)]
pub struct Federation {
    setup: Setup,
    phase: Phase,
    /// The strategy's state after the last round that was aggregated.
    server: Arc<ServerState>,
    /// The last round that began.
    current: Round,
    /// Under an asynchronous strategy, the clients that go on while the next round waits until more rounds are recorded.
    paused: Option<Box<Flow>>,
    reports: Reports,
    /// The clients that counted in rounds that an earlier start recorded.
    attendance: Attendance,
    /// The wall clock's time, if that of events is simulated.
    wall: Option<Timestamp>,
    /// The time at which the model of the last round was complete.
    ready_at: Timestamp,
    /// The wall clock's time at which round `current` began.
    round_began: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Not started; `state` is the model after round `current`.
    Ready { state: Arc<ModelState> },
    /// Candidates for round `current` are measuring the loss of the current model; its clients aren't selected yet.
    Measuring(Box<Probe>),
    /// Clients of round `current` are training.
    Training(Box<Cohort>),
    /// Under an asynchronous strategy: clients work, and those that answer fill round `current`.
    Flowing(Box<Flow>),
    /// Round `current` is aggregated; the next one waits until more rounds are recorded.
    Held { state: Arc<ModelState> },
    /// Round `current` is aggregated; the next one waits until enough clients are there: until this time, if it is known.
    Waiting { state: Arc<ModelState>, until: Option<Timestamp> },
    /// Every round is aggregated; some evaluations are still awaited.
    Draining { state: Arc<ModelState> },
    /// Finished or failed.
    Over,
}

/// The time at which enough clients are there for a round.
enum Enough {
    Now,
    /// At this time, if it is known.
    Later(Option<Timestamp>),
}

/// The updates of a round, combined.
struct Combined {
    /// The clients that count, ascending.
    clients: Vec<ClientId>,
    /// The next global model.
    state: ModelState,
    train: TrainSummary,
}

impl Federation {
    /// Creates a run that starts from the initial global model.
    ///
    /// # Errors
    ///
    /// If the model doesn't fit its own layout, or holds numbers that aren't finite.
    pub fn new(setup: Setup, initial: Arc<ModelState>) -> Result<Self, SetupError> {
        Self::resume(setup, Round(0), initial, ServerState::default())
    }

    /// Creates a run that resumes from a checkpoint: it continues after `round` with the global model and the strategy's state after that
    /// round. Its final model is bit-identical to that of an uninterrupted run. After round 0 it is a run from the start; after the last
    /// round it finishes at once.
    ///
    /// # Errors
    ///
    /// If the round is past the end, the model doesn't fit its own layout or holds numbers that aren't finite, or the strategy needs something
    /// that it doesn't have.
    pub fn resume(setup: Setup, round: Round, state: Arc<ModelState>, server: ServerState) -> Result<Self, SetupError> {
        if round.0 > setup.config.rounds {
            return Err(SetupError::PastEnd { round, rounds: setup.config.rounds });
        }
        setup.check_cohorts()?;
        setup.check_own()?;
        check_state(&state)?;
        (setup.strategy.entry.net)(&setup.config.strategy, &facts(&state.layout)).map_err(SetupError::Model)?;
        flow::check(&setup, round, &state, &server).map_err(SetupError::InFlight)?;
        let ready_at = if setup.fleet.is_some() { Micros(server.clock().1).into() } else { Timestamp::default() };
        let (phase, server) = (Phase::Ready { state }, Arc::new(server));
        Ok(Self {
            setup,
            phase,
            server,
            current: round,
            paused: None,
            reports: Reports::default(),
            attendance: Attendance::default(),
            wall: None,
            ready_at,
            round_began: Timestamp::default(),
        })
    }

    /// Returns the same run, which repeats what earlier starts recorded of who counted in a round: those clients have to count again, and those
    /// that were absent are absent again. What wasn't recorded is decided anew.
    #[must_use]
    pub fn repeating(self, attendance: Attendance) -> Self {
        Self { attendance, ..self }
    }

    /// Returns the settings of the run.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Returns the model from which the run starts; `None` once it has begun.
    #[must_use]
    pub fn first_model(&self) -> Option<&ModelState> {
        match &self.phase {
            Phase::Ready { state } => Some(state),
            _ => None,
        }
    }

    /// Returns the round in training and the time at which [`Event::DeadlinePassed`] is due for it; `None` if nobody could be late.
    #[must_use]
    pub fn deadline(&self) -> Option<(Round, Timestamp)> {
        match &self.phase {
            Phase::Measuring(probe) => probe.limit().map(|limit| (self.current, limit)),
            Phase::Training(cohort) => cohort.limit().map(|limit| (self.current, limit)),
            _ => None,
        }
    }

    /// Returns the simulated time of the answer with which the last round ended; 0 if time is the wall clock's.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        Micros(self.server.clock().0).into()
    }

    /// Returns true if nothing goes on until an evaluation is there.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held { .. } | Phase::Draining { .. })
    }

    /// Returns the time at which [`Event::Awoke`] is due; `None` if it isn't.
    #[must_use]
    pub fn wake(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Waiting { until, .. } => *until,
            Phase::Flowing(flow) => flow.wake(),
            _ => None,
        }
    }

    /// Processes an event that happened at `now`, and returns the actions to carry out, in order.
    ///
    /// # Errors
    ///
    /// If the message is late, early or a duplicate, is from a client that wasn't asked, or has unusable content. The machine is then
    /// unchanged.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Result<Vec<Action>, ProtocolError> {
        match (&self.phase, &event) {
            (Phase::Over, _) => return Err(ProtocolError::Over),
            (Phase::Ready { .. }, Event::Started) => {}
            (Phase::Ready { .. }, _) => return Err(ProtocolError::NotStarted),
            (_, Event::Started) => return Err(ProtocolError::AlreadyStarted),
            _ => {}
        }
        match event {
            Event::Started => Ok(self.start(now)),
            Event::ClientReady { round, client } if matches!(self.phase, Phase::Flowing(_)) => self.client_ready(round, client),
            Event::ClientReady { round, client } => {
                let place = self.cohort(round)?.check_unready(client, &self.setup, now)?;
                Ok(self.change(now, |cohort, _| {
                    cohort.ready(place, now);
                    Ok(())
                }))
            }
            Event::ClientTrained(update) => self.client_trained(now, update),
            Event::ClientFailed { round, client, reason } if matches!(self.phase, Phase::Flowing(_)) => {
                self.client_lost(now, round, client, reason)
            }
            Event::ClientFailed { round, client, reason } => {
                let place = self.cohort(round)?.awaited_place(client, &self.setup, now)?;
                Ok(self.change(now, |cohort, setup| cohort.lose(place, reason, setup)))
            }
            Event::LossMeasured { round, client, loss } => {
                self.probe(round, client)?.check(client, loss, &self.setup, now)?;
                Ok(self.change_probe(now, |probe, _| {
                    probe.take(client, loss);
                    Ok(())
                }))
            }
            Event::LossFailed { round, client, reason } => {
                self.probe(round, client)?.check_awaited(client, &self.setup, now)?;
                Ok(self.change_probe(now, |probe, setup| probe.lose(client, reason, setup)))
            }
            Event::Evaluated { round, evaluation, seconds } => self.evaluated(now, round, evaluation, seconds),
            Event::ClientsTested { round, clients, seconds } => self.clients_tested(now, round, &clients, seconds),
            Event::EvaluationFailed { round, reason } => {
                self.reports.expect_evaluation(round)?;
                Ok(self.fail(Failure::Evaluation { round, reason }))
            }
            Event::ClientCame { client, num_samples } => {
                self.setup.came(client, num_samples);
                Ok(self.awoke(now))
            }
            Event::ClientLeft { client } => {
                self.setup.left(client);
                Ok(Vec::new())
            }
            Event::Awoke => Ok(self.awoke(now)),
            Event::DeadlinePassed { round } if round == self.current && matches!(self.phase, Phase::Measuring(_)) => {
                Ok(self.change_probe(now, Probe::pass_deadline))
            }
            Event::DeadlinePassed { round } => {
                let cohort = self.cohort(round)?;
                if self.setup.config.participation.is_some() {
                    return Ok(self.change(now, Cohort::pass_deadline));
                }
                let (num_selected, missing) = (cohort.num_selected(), cohort.missing());
                Ok(self.fail(Failure::Deadline { round, num_selected, missing }))
            }
        }
    }

    fn start(&mut self, now: Timestamp) -> Vec<Action> {
        let Phase::Ready { state } = std::mem::replace(&mut self.phase, Phase::Over) else { return Vec::new() };
        let mut actions = Vec::new();
        if self.current.0 == 0 {
            let record = RoundRecord {
                round: self.current,
                clients: Vec::new(),
                train: None,
                learning_rate: self.setup.learning_rate(self.current),
                test: None,
                client_test: None,
                train_seconds: 0.0,
                virtual_seconds: self.virtual_seconds(now),
                test_seconds: 0.0,
                sent_bytes: None,
            };
            let awaits = self.awaits(self.current);
            self.reports.push(record, awaits, None);
            actions.extend(self.evaluations(self.current, awaits, &state));
        }
        match self.go_on(now.max(self.ready_at), state, &mut actions) {
            Ok(()) => actions,
            Err(failure) => self.fail(failure),
        }
    }

    fn client_trained(&mut self, now: Timestamp, update: ClientUpdate) -> Result<Vec<Action>, ProtocolError> {
        if matches!(self.phase, Phase::Flowing(_)) {
            return self.client_answered(now, update);
        }
        let place = self.cohort(update.round)?.check(&update, &self.setup, now)?;
        Ok(self.change(now, |cohort, setup| cohort.take(place, update, setup, now)))
    }

    /// Changes the cohort in training, and ends its round if that completes it.
    fn change(&mut self, now: Timestamp, change: impl FnOnce(&mut Cohort, &Setup) -> Result<(), Failure>) -> Vec<Action> {
        let Phase::Training(cohort) = &mut self.phase else { return Vec::new() };
        let settled = change(cohort, &self.setup).and_then(|()| cohort.settle(&self.setup));
        let records = match settled {
            Ok(records) => records.into_iter().map(Action::Record),
            Err(failure) => {
                let mut actions: Vec<Action> = cohort.absences().map(Action::Record).collect();
                actions.extend(self.fail(failure));
                return actions;
            }
        };
        if !cohort.is_complete() {
            let round = self.current;
            // Updates are on their way while the caller writes.
            let collected = cohort.collect(&self.setup).into_iter().map(|client| Action::Collect { round, client });
            return collected.chain(records).collect();
        }
        match self.aggregate(now) {
            // Work comes first, so that clients and the evaluator are busy while the caller writes.
            Ok(mut actions) => {
                actions.extend(records);
                self.record(&mut actions);
                actions
            }
            Err(failure) => records.chain(self.fail(failure)).collect(),
        }
    }

    /// Selects the clients of the current round, and orders them to train.
    fn select(&mut self, now: Timestamp, state: Arc<ModelState>, measured: Measured, actions: &mut Vec<Action>) -> Result<(), Failure> {
        let attended = self.attendance.of(self.current);
        let cohort = Cohort::select(&self.setup, self.current, state, &self.server, measured, attended, now)?;
        actions.extend(cohort.orders(&self.setup).map(Action::Train));
        self.phase = Phase::Training(Box::new(cohort));
        Ok(())
    }

    /// Ends the training of the current round.
    fn aggregate(&mut self, now: Timestamp) -> Result<Vec<Action>, Failure> {
        let Phase::Training(cohort) = std::mem::replace(&mut self.phase, Phase::Over) else { return Ok(Vec::new()) };
        let (round, global) = (self.current, Arc::clone(cohort.global()));
        let mut actions: Vec<Action> = cohort.has_unwanted().then_some(Action::Revoke { round }).into_iter().collect();
        let server = Arc::make_mut(&mut self.server);
        cohort.remember(&self.setup, server);
        let (clients, state, train) = cohort.finish(server).map_err(|error| error.in_round(round))?;
        check_like(&global, &state).map_err(|source| Failure::Aggregate { round, source })?;
        if self.setup.clients_keep_state() {
            server.took_part(round, &clients, self.setup.samples.len());
        }
        let (state, evaluations) = self.end_round(now, Combined { clients, state, train }, None);
        self.go_on(self.ready_at, state, &mut actions)?;
        actions.extend(evaluations);
        Ok(actions)
    }

    /// Notes the end of the current round, whose last answer came at `now`. Under an asynchronous strategy, `flow` goes on. Returns the model, which is
    /// complete at `ready_at`, and the orders for its evaluations.
    fn end_round(&mut self, now: Timestamp, combined: Combined, flow: Option<&Flow>) -> (Arc<ModelState>, Vec<Action>) {
        let (round, Combined { clients, state, train }) = (self.current, combined);
        // The server makes one step after another, and each takes its time.
        self.ready_at = self.setup.ready_after(now.max(self.ready_at));
        if self.setup.fleet.is_some() {
            Arc::make_mut(&mut self.server).set_clock(Micros::from(now).0, Micros::from(self.ready_at).0);
        }
        let state = Arc::new(state);
        let checkpoint = self.setup.checkpoint_is_due(round).then(|| {
            let mut server = Arc::clone(&self.server);
            if let Some(flow) = flow {
                flow.remember(Arc::make_mut(&mut server));
            }
            (Arc::clone(&state), server)
        });
        let awaits = self.awaits(round);
        let evaluations = self.evaluations(round, awaits, &state);
        let sent_bytes = clients.len() as u64 * self.setup.update_bytes(&state);
        let record = RoundRecord {
            round,
            clients,
            train: Some(train),
            learning_rate: self.setup.learning_rate(round),
            test: None,
            client_test: None,
            train_seconds: self.wall(now).seconds_since(self.round_began),
            virtual_seconds: self.virtual_seconds(self.ready_at),
            test_seconds: 0.0,
            sent_bytes: Some(sent_bytes),
        };
        self.reports.push(record, awaits, checkpoint);
        (state, evaluations)
    }

    /// Returns the evaluations that are due after `round`.
    fn awaits(&self, round: Round) -> Awaits {
        Awaits { evaluation: self.setup.evaluation_is_due(round), clients: self.setup.client_test_is_due(round) }
    }

    /// Returns the orders for the evaluations of `round`, which has just ended with this global model.
    fn evaluations(&self, round: Round, due: Awaits, state: &Arc<ModelState>) -> Vec<Action> {
        let of_clients = || TestSamples::OfClients { server: Arc::clone(&self.server) };
        let on = due.evaluation.then_some(TestSamples::TestSet).into_iter().chain(due.clients.then(of_clients));
        on.map(|on| Action::Evaluate(EvaluationOrder { round, state: Arc::clone(state), on })).collect()
    }

    fn evaluated(&mut self, now: Timestamp, round: Round, evaluation: Evaluation, seconds: f64) -> Result<Vec<Action>, ProtocolError> {
        self.reports.evaluated(round, evaluation, seconds)?;
        Ok(self.reported(now))
    }

    fn clients_tested(
        &mut self,
        now: Timestamp,
        round: Round,
        tested: &[ClientEvaluation],
        seconds: f64,
    ) -> Result<Vec<Action>, ProtocolError> {
        let Setup { config, samples, .. } = &self.setup;
        self.reports.clients_tested(round, tested, seconds, config.client_figures(), samples.len())?;
        Ok(self.reported(now))
    }

    /// Records what is complete after an evaluation, and continues if training has waited for it.
    fn reported(&mut self, now: Timestamp) -> Vec<Action> {
        let mut records = Vec::new();
        self.record(&mut records);
        let mut actions = Vec::new();
        if let Phase::Held { state } = &self.phase {
            let state = Arc::clone(state);
            if let Err(failure) = self.go_on(now.max(self.ready_at), state, &mut actions) {
                records.extend(self.fail(failure));
                return records;
            }
        }
        actions.append(&mut records);
        actions
    }

    /// Begins the next round if it has waited for clients; otherwise nothing happens.
    fn awoke(&mut self, now: Timestamp) -> Vec<Action> {
        if matches!(self.phase, Phase::Flowing(_)) {
            let mut actions = Vec::new();
            let refilled = self.refill(now, &mut actions);
            return refilled.map_or_else(|failure| self.fail(failure), |()| actions);
        }
        let Phase::Waiting { state, .. } = &self.phase else { return Vec::new() };
        let (state, mut actions) = (Arc::clone(state), Vec::new());
        match self.go_on(now, state, &mut actions) {
            Ok(()) => actions,
            Err(failure) => self.fail(failure),
        }
    }

    /// Continues after round `current`, which produced `state`: begins the next round, pauses, or begins to drain.
    fn go_on(&mut self, now: Timestamp, state: Arc<ModelState>, actions: &mut Vec<Action>) -> Result<(), Failure> {
        if self.current.0 >= self.setup.config.rounds {
            self.phase = Phase::Draining { state };
            if self.paused.take().is_some() {
                // Whoever works needn't end.
                actions.push(Action::Revoke { round: self.current });
            }
            if self.reports.is_empty() {
                self.record(actions);
            }
            return Ok(());
        }
        if self.reports.num_models_held() >= MODELS_HELD_MAX || self.reports.len() >= ROUNDS_UNRECORDED_MAX {
            self.phase = Phase::Held { state };
            return Ok(());
        }
        if let Some(buffer) = self.setup.buffer() {
            return self.flow_on(buffer, now, state, actions);
        }
        if let Enough::Later(until) = self.enough(now)? {
            self.phase = Phase::Waiting { state, until };
            return Ok(());
        }
        self.current = Round(self.current.0 + 1);
        self.round_began = self.wall(now);
        let round = self.current;
        let of_away = |client| Record::ClientAbsent(AbsenceRecord { round, client, absence: Absence::Away, reason: None });
        // Work comes first.
        let away: Vec<Action> = self.setup.away().map(of_away).map(Action::Record).collect();
        let begun = self.begin_round(now, state, actions);
        actions.extend(away);
        begun
    }

    /// Selects the clients of the round that begins, or has candidates for it measure the model.
    fn begin_round(&mut self, now: Timestamp, state: Arc<ModelState>, actions: &mut Vec<Action>) -> Result<(), Failure> {
        let eligible = self.setup.eligible_at(now);
        let candidates =
            self.setup.selection.candidates(&self.setup.selecting(self.current, &self.server, &eligible, &BTreeMap::new(), &state));
        if candidates.clients.is_empty() {
            return self.select(now, state, Measured::default(), actions);
        }
        let probe = Probe::new(&self.setup, self.current, state, candidates, self.attendance.of(self.current), now);
        actions.extend(probe.orders(&self.setup).map(Action::Measure));
        self.phase = Phase::Measuring(Box::new(probe));
        self.select_if_measured(now, actions)
    }

    /// Returns whether enough clients are there for the next round.
    fn enough(&self, now: Timestamp) -> Result<Enough, Failure> {
        let (eligible, needed) = (self.setup.eligible_at(now), self.setup.num_wanted());
        match &self.setup.fleet {
            _ if eligible.len() >= needed => Ok(Enough::Now),
            Some(fleet) => {
                let never = || Failure::NeverThere { round: Round(self.current.0 + 1), needed, num_clients: self.setup.eligible.len() };
                let at = fleet.time_with(needed, &self.setup.eligible, now.into()).ok_or_else(never)?;
                Ok(Enough::Later(Some(at.into())))
            }
            None => Ok(Enough::Later(None)),
        }
    }

    /// Returns the simulated time in seconds; `None` if time is the wall clock's.
    fn virtual_seconds(&self, now: Timestamp) -> Option<f64> {
        self.setup.fleet.as_ref().map(|_| Micros::from(now).as_seconds())
    }

    /// Returns the wall clock's time of an event at `now`.
    fn wall(&self, now: Timestamp) -> Timestamp {
        self.wall.unwrap_or(now)
    }

    /// Sets the wall clock's time of the next events, for records of durations, if their own time is simulated.
    pub fn set_wall_clock(&mut self, now: Timestamp) {
        self.wall = Some(now);
    }

    /// Records the rounds that are complete, in round order, and the end once it is reached.
    fn record(&mut self, actions: &mut Vec<Action>) {
        actions.extend(self.reports.take_complete().into_iter().map(Action::Record));
        if let Phase::Draining { state } = &self.phase
            && self.reports.is_empty()
        {
            actions.push(Action::Record(Record::Finished { state: Arc::clone(state) }));
            self.phase = Phase::Over;
        }
    }

    fn fail(&mut self, failure: Failure) -> Vec<Action> {
        self.phase = Phase::Over;
        self.reports = Reports::default();
        vec![Action::Fail(failure)]
    }

    /// Returns the cohort that trains in `round`.
    fn cohort(&self, round: Round) -> Result<&Cohort, ProtocolError> {
        match &self.phase {
            Phase::Training(cohort) if round == self.current => Ok(cohort),
            Phase::Measuring(_) if round == self.current => Err(ProtocolError::NotTraining { round }),
            _ if round > self.current => Err(ProtocolError::FutureRound { round, current: self.current }),
            _ => Err(ProtocolError::PastRound { round, current: self.current }),
        }
    }
}
