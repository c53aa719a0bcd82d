//! One round in training: the selected clients, who of them counts, and the sums so far.

mod member;

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    attendance::{Absence, Attended},
    ids::{ClientId, Round},
    metrics::TrainSummary,
    model_state::ModelState,
    seed::Seed,
    server_state::ServerState,
};

use self::member::{Member, Standing};
use super::{
    AbsenceRecord, ClientRecord, ClientUpdate, Failure, ProtocolError, Record, SettingsDigest, Setup, Timestamp, TrainOrder,
    probe::Measured,
};
use crate::{
    attack::{Alone, How, Together, set_parameters},
    selection::{Observing, Trained},
    simulation::Micros,
    state_check::check_like,
    strategy::{Aggregator, CohortFacts, CombineError, Update},
};

/// The number of updates that are here or on their way here before they can be folded: one is on its way while another is folded.
const COLLECTED_MAX: usize = 2;

/// The clients of one round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cohort {
    round: Round,
    seed: Seed,
    global: Arc<ModelState>,
    began: Timestamp,
    /// The time after which no answer counts; `None` if there is no limit.
    limit: Option<Timestamp>,
    /// The selected clients, ascending.
    members: Vec<Member>,
    /// The candidates that weren't selected since they measured no loss.
    unmeasured: Vec<AbsenceRecord>,
    settings: SettingsDigest,
    /// The number of members, in order, that are folded or recorded as absent.
    num_settled: usize,
    /// The number of members whose update counts.
    num_counted: u32,
    /// The number of members whose answer is awaited, and of those among them that have to count.
    num_awaited: u32,
    num_bound: u32,
    /// The number of answers that may still count in addition to those that have to.
    num_open: u32,
    aggregator: Aggregator,
    /// The reports of the folded clients, for the selection of later rounds.
    trained: Vec<Trained>,
    /// Sums over the folded updates: samples, steps, and losses weighted by samples.
    num_samples: u64,
    num_steps: u64,
    loss_sum: f64,
}

impl Cohort {
    /// Selects the clients of `round`, which start from `global`. `attended` is what an earlier start recorded of the round: it isn't decided
    /// again.
    ///
    /// # Errors
    /// If the record has other clients, too few are left that may answer, or a strategy of the user's own has no terms for them.
    pub(super) fn select(
        setup: &Setup,
        round: Round,
        global: Arc<ModelState>,
        server: &ServerState,
        measured: Measured,
        attended: Option<&BTreeMap<ClientId, Attended>>,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let Measured { losses, absent: unmeasured } = measured;
        let eligible = setup.eligible_at(now);
        let clients = setup.selection.cohort(&setup.selecting(round, server, &eligible, &losses, &global));
        let is_known =
            |client: &ClientId| clients.binary_search(client).is_ok() || unmeasured.iter().any(|absent| absent.client == *client);
        if let Some(client) = attended.iter().flat_map(|attended| attended.keys()).find(|client| !is_known(client)) {
            return Err(Failure::Unrepeatable { round, client: *client });
        }
        let total_samples = clients.iter().map(|&client| setup.samples_of(client)).sum();
        let terms = Arc::new(setup.terms(round, server));
        let facts = CohortFacts { total_samples, num_clients: setup.config.clients.num() };
        let aggregator = Aggregator::new(setup.strategy, &setup.config.strategy, round, Arc::clone(&global), facts);
        let aggregator = aggregator.with_own(setup.own.clone());
        let with_terms: Vec<_> = clients.into_iter().map(|client| (client, setup.terms_of(client, round, &terms))).collect();
        let with_terms = match &setup.own {
            Some(own) => own.begin(round, &global, &server.own, with_terms)?,
            None => with_terms,
        };
        let member = |(client, terms)| {
            let attended = attended.and_then(|of| of.get(&client));
            Member::new(setup, round, client, terms, server.last_round(client), attended, now)
        };
        let mut members: Vec<Member> = with_terms.into_iter().map(member).collect();
        let count = |is: &dyn Fn(&Member) -> bool| (0_u32..).zip(members.iter().filter(|member| is(member))).map(|(at, _)| at + 1).last();
        let num_awaited = count(&|member| matches!(member.standing, Standing::Awaited)).unwrap_or(0);
        let num_bound = count(&|member| member.is_bound).unwrap_or(0);
        // The server's own training isn't counted among the clients', and can't be dispensed with.
        members.extend(setup.root().map(|root| Member::root(root, Arc::clone(&terms), now)));
        let mut cohort = Self {
            round,
            seed: setup.seed,
            global,
            began: now,
            limit: setup.deadline().map(|deadline| Timestamp(now.0.saturating_add(deadline))),
            settings: setup.settings,
            num_settled: 0,
            num_counted: 0,
            num_awaited,
            num_bound,
            num_open: setup.config.clients_per_round.saturating_sub(num_bound),
            members,
            unmeasured,
            aggregator,
            trained: Vec::new(),
            num_samples: 0,
            num_steps: 0,
            loss_sum: 0.0,
        };
        cohort.dismiss_surplus();
        cohort.check_enough(setup)?;
        Ok(cohort)
    }

    pub(super) fn num_selected(&self) -> usize {
        self.members.iter().filter(|member| !member.is_root).count() + self.unmeasured.len()
    }

    pub(super) fn global(&self) -> &Arc<ModelState> {
        &self.global
    }

    /// Returns the time after which no answer counts, if there is one and answers are awaited that it concerns.
    pub(super) fn limit(&self) -> Option<Timestamp> {
        self.limit.filter(|_| self.num_awaited > self.num_bound)
    }

    pub(super) fn orders(&self, setup: &Setup) -> impl Iterator<Item = TrainOrder> {
        let flips = matches!(setup.faults.attack(), Some((attack, _)) if matches!(attack.how, How::FlipLabels));
        self.members.iter().filter(|member| matches!(member.standing, Standing::Awaited)).map(move |member| TrainOrder {
            round: self.round,
            client: member.client,
            seed: self.seed,
            state: Arc::clone(&self.global),
            terms: Arc::clone(&member.terms),
            kept: member.kept,
            flips_labels: flips && member.is_malicious,
            given: self.began,
            settings: self.settings,
        })
    }

    /// Returns the members without an answer, ascending.
    pub(super) fn missing(&self) -> Vec<ClientId> {
        self.members.iter().filter(|member| matches!(member.standing, Standing::Awaited)).map(|member| member.client).collect()
    }

    /// Returns true if each member is folded or recorded as absent.
    pub(super) fn is_complete(&self) -> bool {
        self.num_settled == self.members.len()
    }

    /// Returns true if members were given an order and their answer doesn't matter any more.
    pub(super) fn has_unwanted(&self) -> bool {
        let is_unwanted = |absence| matches!(absence, Absence::Late | Absence::Surplus);
        self.members.iter().any(|member| matches!(member.standing, Standing::Absent { absence, .. } if is_unwanted(absence)))
    }

    /// Checks that an answer of `client` is awaited at `now`, or its update is ready and awaited, and returns its position among the members.
    pub(super) fn awaited_place(&self, client: ClientId, setup: &Setup, now: Timestamp) -> Result<usize, ProtocolError> {
        let num_clients = setup.samples.len();
        if client.0 as usize >= num_clients && setup.root() != Some(client) {
            return Err(ProtocolError::UnknownClient { client, num_clients });
        }
        let round = self.round;
        let place = self.members.binary_search_by_key(&client, |member| member.client);
        let place = place.map_err(|_| ProtocolError::NotSelected { round, client })?;
        match &self.members[place] {
            Member { standing: Standing::Answered(_) | Standing::Folded, .. } => Err(ProtocolError::Duplicate { round, client }),
            Member { standing: Standing::Ready { .. }, .. } => Ok(place),
            Member { standing: Standing::Absent { absence, .. }, .. } => Err(ProtocolError::Absent { round, client, absence: *absence }),
            Member { is_bound: false, .. } if self.limit.is_some_and(|limit| now > limit) => Err(ProtocolError::Late { round, client }),
            Member { standing: Standing::Awaited, .. } => Ok(place),
        }
    }

    /// Checks that an update is awaited at `now` and can be used, and returns its client's position among the members.
    pub(super) fn check(&self, update: &ClientUpdate, setup: &Setup, now: Timestamp) -> Result<usize, ProtocolError> {
        let place = self.awaited_place(update.client, setup, now)?;
        super::content::check(update, &self.global, self.aggregator.num_parameters(), setup.strategy)?;
        Ok(place)
    }

    /// Checks that `client` is awaited at `now`, and that its update isn't ready yet, and returns its position among the members.
    pub(super) fn check_unready(&self, client: ClientId, setup: &Setup, now: Timestamp) -> Result<usize, ProtocolError> {
        let place = self.awaited_place(client, setup, now)?;
        match self.members[place].standing {
            Standing::Ready { .. } => Err(ProtocolError::Duplicate { round: self.round, client }),
            _ => Ok(place),
        }
    }

    /// Counts the member at `place`, whose update is ready at another place.
    pub(super) fn ready(&mut self, place: usize, now: Timestamp) {
        let member = &mut self.members[place];
        member.standing = Standing::Ready { is_asked_for: false };
        member.arrived = now;
        self.count(place);
    }

    /// Returns the clients whose updates are to be brought next, ascending, and notes that they are asked for.
    pub(super) fn collect(&mut self, setup: &Setup) -> Vec<ClientId> {
        // If malicious clients attack together, nothing can be folded before everything is here.
        let at_once = if setup.faults.attacks_together() { usize::MAX } else { COLLECTED_MAX };
        let unsettled = self.members.iter_mut().skip(self.num_settled);
        let next = unsettled.filter(|member| !matches!(member.standing, Standing::Absent { .. })).take(at_once);
        let ask = |member: &mut Member| match &mut member.standing {
            Standing::Ready { is_asked_for } if !*is_asked_for => {
                *is_asked_for = true;
                Some(member.client)
            }
            _ => None,
        };
        next.filter_map(ask).collect()
    }

    /// Takes the update, which [`Self::check`] accepts, of the member at `place`.
    ///
    /// # Errors
    /// If the client's attack made it unusable and the round needs it, or too few clients are left.
    pub(super) fn take(&mut self, place: usize, mut update: ClientUpdate, setup: &Setup, now: Timestamp) -> Result<(), Failure> {
        if let (true, Some((attack, settings))) = (self.members[place].is_malicious, setup.faults.attack())
            && let How::Alone(send) = attack.how
        {
            let (round, client, global) = (self.round, update.client, &*self.global);
            send(&Alone { settings, seed: self.seed, round, client, global }, &mut update.state);
            if let Err(problem) = check_like(&self.global, &update.state) {
                return self.lose(place, format!("its attack can't be used: {problem}"), setup);
            }
        }
        let member = &mut self.members[place];
        let counts_already = matches!(member.standing, Standing::Ready { .. });
        member.standing = Standing::Answered(Box::new(update));
        if !counts_already {
            member.arrived = now;
            self.count(place);
        }
        Ok(())
    }

    /// Counts the answer of the member at `place`, which was awaited.
    fn count(&mut self, place: usize) {
        let member = &self.members[place];
        if member.is_root {
            return;
        }
        self.num_awaited -= 1;
        self.num_counted += 1;
        if member.is_bound {
            self.num_bound -= 1;
        } else {
            self.num_open -= 1;
            self.dismiss_surplus();
        }
    }

    /// Goes on without the member at `place`, which failed.
    ///
    /// # Errors
    /// If the round needs it, or too few clients are left.
    pub(super) fn lose(&mut self, place: usize, reason: String, setup: &Setup) -> Result<(), Failure> {
        let member = &mut self.members[place];
        // What counted in an earlier start has to count again.
        if !setup.tolerates_failures() || member.is_bound {
            return Err(Failure::Client { round: self.round, client: member.client, reason });
        }
        let counted = matches!(member.standing, Standing::Ready { .. });
        member.standing = Standing::Absent { absence: Absence::Failed, reason: Some(reason) };
        if counted {
            self.num_counted -= 1
        } else {
            self.num_awaited -= 1
        }
        self.check_enough(setup)
    }

    /// Goes on without the members that haven't answered, but for those that have to count.
    ///
    /// # Errors
    /// If too few clients are left.
    pub(super) fn pass_deadline(&mut self, setup: &Setup) -> Result<(), Failure> {
        self.dismiss(Absence::Late);
        self.check_enough(setup)
    }

    /// Dismisses members that aren't needed once enough have answered.
    fn dismiss_surplus(&mut self) {
        if self.num_open == 0 && self.num_awaited > self.num_bound {
            self.dismiss(Absence::Surplus);
        }
    }

    fn dismiss(&mut self, absence: Absence) {
        for member in &mut self.members {
            if matches!(member.standing, Standing::Awaited) && !member.is_bound {
                member.standing = Standing::Absent { absence, reason: None };
                self.num_awaited -= 1;
            }
        }
    }

    fn check_enough(&self, setup: &Setup) -> Result<(), Failure> {
        let (at_most, min_updates) = (self.num_counted + self.num_awaited, setup.min_updates());
        if at_most >= min_updates {
            return Ok(());
        }
        let mut absences: BTreeMap<Absence, (u32, Option<String>)> = BTreeMap::new();
        let unmeasured = self.unmeasured.iter().map(|absent| (absent.client, absent.absence, &absent.reason));
        let of_members = self.members.iter().filter_map(|member| match &member.standing {
            Standing::Absent { absence, reason } => Some((member.client, *absence, reason)),
            Standing::Awaited | Standing::Ready { .. } | Standing::Answered(_) | Standing::Folded => None,
        });
        for (client, absence, reason) in unmeasured.chain(of_members) {
            let (count, told) = absences.entry(absence).or_default();
            *count += 1;
            if told.is_none() {
                *told = reason.as_ref().map(|reason| format!("client `{client}`: {reason}"));
            }
        }
        let absences = absences.into_iter().map(|(absence, (count, told))| (absence, count, told)).collect();
        Err(Failure::TooFewUpdates { round: self.round, min_updates, at_most, num_selected: self.num_selected(), absences })
    }

    /// Folds the updates that are next in client order, and returns their records and those of absent clients among them. If malicious clients
    /// attack together, nothing is folded before the last answer.
    ///
    /// # Errors
    /// If an attack made updates unusable, and the round needs them.
    pub(super) fn settle(&mut self, setup: &Setup) -> Result<Vec<Record>, Failure> {
        if let Some((attack, settings)) = setup.faults.attack()
            && let How::Together(send) = attack.how
        {
            let is_missing = |member: &Member| matches!(member.standing, Standing::Awaited | Standing::Ready { .. });
            if self.members.iter().any(is_missing) {
                return Ok(Vec::new());
            }
            self.attack_together(send, settings, setup)?;
        }
        let mut records = Vec::new();
        while let Some(member) = self.members.get_mut(self.num_settled) {
            let (round, client, malicious) = (self.round, member.client, member.is_malicious);
            match std::mem::replace(&mut member.standing, Standing::Folded) {
                unsettled @ (Standing::Awaited | Standing::Ready { .. }) => {
                    member.standing = unsettled;
                    break;
                }
                Standing::Absent { absence, reason } => {
                    records.push(Record::ClientAbsent(AbsenceRecord { round, client, absence, reason: reason.clone() }));
                    member.standing = Standing::Absent { absence, reason };
                }
                Standing::Answered(update) => {
                    let ClientUpdate { state, train, extras, arrays, seconds, .. } = *update;
                    let (samples, learning_rate, is_root) = (setup.samples_of(client), member.terms.learning_rate, member.is_root);
                    let (base, staleness, steps) = (None, 0, train.num_steps);
                    self.aggregator.take(Update { client, state, base, staleness, samples, steps, learning_rate, extras, arrays });
                    if is_root {
                        self.num_settled += 1;
                        continue;
                    }
                    let virtual_seconds = setup.fleet.is_some().then(|| Micros::from(member.arrived).as_seconds());
                    let duration = setup.fleet.is_some().then(|| member.arrived.seconds_since(self.began));
                    self.trained.push(Trained { client, summary: train, duration });
                    self.num_samples = self.num_samples.saturating_add(train.num_samples);
                    self.num_steps = self.num_steps.saturating_add(train.num_steps);
                    self.loss_sum += train.loss.unwrap_or(0.0) * as_f64(train.num_samples);
                    records.push(Record::ClientTrained(ClientRecord {
                        round,
                        client,
                        train,
                        seconds,
                        virtual_seconds,
                        staleness: None,
                        malicious,
                    }));
                }
                Standing::Folded => {}
            }
            self.num_settled += 1;
        }
        Ok(records)
    }

    /// Returns records of the absences that aren't settled, for a run that fails.
    pub(super) fn absences(&self) -> impl Iterator<Item = Record> {
        self.members[self.num_settled.min(self.members.len())..].iter().filter_map(|member| match &member.standing {
            Standing::Absent { absence, reason } => {
                let (round, client, absence, reason) = (self.round, member.client, *absence, reason.clone());
                Some(Record::ClientAbsent(AbsenceRecord { round, client, absence, reason }))
            }
            Standing::Awaited | Standing::Ready { .. } | Standing::Answered(_) | Standing::Folded => None,
        })
    }

    /// Replaces the parameters of malicious clients by what they agree on.
    fn attack_together(
        &mut self,
        send: fn(&Together<'_>) -> Vec<f64>,
        settings: &fltk_core::catalogue::Choice,
        setup: &Setup,
    ) -> Result<(), Failure> {
        let models = |is_malicious: bool| -> Vec<&ModelState> {
            let of = self.members.iter().filter(|member| member.is_malicious == is_malicious && !member.is_root);
            of.filter_map(|member| if let Standing::Answered(update) = &member.standing { Some(&update.state) } else { None }).collect()
        };
        let (malicious, others) = (models(true), models(false));
        if malicious.is_empty() {
            return Ok(());
        }
        let values = send(&Together { settings, malicious, others });
        for place in 0..self.members.len() {
            let member = &mut self.members[place];
            let (true, Standing::Answered(update)) = (member.is_malicious, &mut member.standing) else { continue };
            set_parameters(&mut update.state, &values);
            if let Err(problem) = check_like(&self.global, &update.state) {
                self.num_counted -= 1;
                self.num_awaited += 1;
                self.lose(place, format!("its attack can't be used: {problem}"), setup)?;
            }
        }
        Ok(())
    }

    /// Notes in the server's state what the selection has to remember of the round.
    pub(super) fn remember(&self, setup: &Setup, server: &mut ServerState) {
        let (settings, round, samples, trained) = (&setup.config.selection, self.round, &setup.samples[..], &self.trained[..]);
        (setup.selection.observe)(&Observing { settings, round, samples, trained }, server);
    }

    /// Returns the members that count, the next global model, and the summary of their training. Updates the strategy's state.
    pub(super) fn finish(self, server: &mut ServerState) -> Result<(Vec<ClientId>, ModelState, TrainSummary), CombineError> {
        let loss = (self.num_samples > 0).then(|| self.loss_sum / as_f64(self.num_samples));
        let train = TrainSummary { num_samples: self.num_samples, num_steps: self.num_steps, loss };
        let clients = self
            .members
            .iter()
            .filter(|member| matches!(member.standing, Standing::Folded) && !member.is_root)
            .map(|member| member.client)
            .collect();
        Ok((clients, self.aggregator.finish(server)?, train))
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a mean loss needs no more")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
