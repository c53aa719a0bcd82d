//! The settings of a federation, checked once.

mod error;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use fltk_core::{
    catalogue::SelectionSize,
    client_terms::ClientTerms,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    model_state::ModelState,
    schedule::{LearningRate, LearningRates},
    seed::Seed,
    server_state::ServerState,
};

use self::error::SAMPLES_MAX;
pub use self::error::SetupError;
use super::{SettingsDigest, Timestamp, work};
use crate::{
    attack,
    compression::{self, Compression},
    faults::Faults,
    selection::{self, Profile, Selecting, Selection},
    simulation::{Fleet, model_bytes, update_bytes},
    strategy::{self, Own, OwnStrategy, Spec},
};

/// The settings that decide a run, apart from the model it starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Rounds, cohorts and strategy.
    pub(super) config: FederatedConfig,
    /// The strategy that `config` names.
    pub(super) strategy: &'static Spec,
    /// The selection that `config` names.
    pub(super) selection: &'static Selection,
    /// The learning rates of the clients, by round.
    pub(super) rates: LearningRates,
    /// The root seed, which decides the selection of clients and everything that they draw.
    pub(super) seed: Seed,
    /// The number of rounds between checkpoints.
    pub(super) checkpoint_every: u32,
    /// The number of samples that each client holds. These are the weights of the average, never numbers that a client reports.
    pub(super) samples: Vec<u64>,
    /// The clients with samples, ascending; of those that have data of their own, the ones that are there.
    pub(super) eligible: Vec<ClientId>,
    /// The groups of clients with terms of their own.
    groups: work::Groups,
    /// The faults to order.
    pub(super) faults: Faults,
    /// The digest of the settings that trainers must have.
    pub(super) settings: SettingsDigest,
    /// The clients of each round that a file gives, from round 1; empty if the selection reads no file.
    pub(super) cohorts: Vec<Vec<ClientId>>,
    /// The clients' devices, links and availability, if time is simulated.
    pub(super) fleet: Option<Arc<Fleet>>,
    /// The compression of updates, if they are compressed.
    compression: Option<Compression>,
    /// The strategy of the user's own, if `config` names one.
    pub(super) own: Option<Own>,
}

impl Setup {
    /// Checks and combines the settings of a run. `client_samples[c]` is the number of samples that client `c` holds; a client without
    /// samples is never selected. A checkpoint is due every `checkpoint_every` rounds and after the last.
    ///
    /// # Errors
    ///
    /// The first setting that isn't valid.
    pub fn new(
        config: FederatedConfig,
        rates: LearningRates,
        seed: Seed,
        client_samples: Vec<u64>,
        checkpoint_every: u32,
    ) -> Result<Self, SetupError> {
        let strategy = strategy::of(&config.strategy).ok_or_else(|| unknown("strategy", config.strategy.name()))?;
        let selection = selection::by_name(config.selection.name()).ok_or_else(|| unknown("selection", config.selection.name()))?;
        Self::with(strategy, selection, config, rates, seed, client_samples, checkpoint_every)
    }

    /// The same as [`Self::new`], with a strategy and a selection that need not be in the catalogues.
    ///
    /// # Errors
    ///
    /// The first setting that isn't valid.
    pub fn with(
        strategy: &'static Spec,
        selection: &'static Selection,
        config: FederatedConfig,
        rates: LearningRates,
        seed: Seed,
        client_samples: Vec<u64>,
        checkpoint_every: u32,
    ) -> Result<Self, SetupError> {
        let counts = [
            ("clients", config.clients.num()),
            ("clients_per_round", config.clients_per_round),
            ("rounds", config.rounds),
            ("evaluate_every", config.evaluate_every),
            ("client_test_every", config.client_test_every().unwrap_or(1)),
            ("checkpoint_every", checkpoint_every),
        ];
        if let Some(&(field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(SetupError::Zero { field });
        }
        check_participation(&config)?;
        if u32::try_from(client_samples.len()) != Ok(config.clients.num()) {
            return Err(SetupError::Parts { clients: config.clients.num(), parts: client_samples.len() });
        }
        let total = client_samples.iter().try_fold(0_u64, |sum, &samples| sum.checked_add(samples));
        if total.is_none_or(|total| total > SAMPLES_MAX) {
            return Err(SetupError::TooManySamples);
        }
        // Those that have data of their own come later, all of them perhaps.
        let may_have = |samples: u64| samples > 0 || config.has_own_data();
        let mut eligible: Vec<ClientId> = (0..config.clients.num())
            .zip(&client_samples)
            .filter(|(_, samples)| may_have(**samples))
            .map(|(client, _)| ClientId(client))
            .collect();
        if (eligible.len() as u64) < config.num_selected() {
            return Err(SetupError::TooFewClients {
                needed: config.num_selected(),
                with_samples: eligible.len(),
                clients: config.clients.num(),
            });
        }
        let size = SelectionSize { selected: config.num_selected(), clients: eligible.len() as u64 };
        (selection.entry.fits)(&config.selection, size).map_err(SetupError::Selection)?;
        if strategy.root.is_some() && config.has_own_data() {
            return Err(SetupError::NoRootData { strategy: strategy.name() });
        }
        let compression = Compression::of(&config).map_err(|name| unknown("compression", &name))?;
        check_asynchronous(&config, strategy, selection, compression.as_ref(), eligible.len())?;
        let faults = draw_faults(&config, seed, &eligible)?;
        if config.has_own_data() {
            eligible.clear();
        }
        let settings = SettingsDigest::default();
        let (samples, cohorts, groups) = (client_samples, Vec::new(), work::Groups::of(&config));
        Ok(Self {
            strategy,
            selection,
            config,
            rates,
            seed,
            checkpoint_every,
            samples,
            eligible,
            groups,
            faults,
            settings,
            cohorts,
            fleet: None,
            compression,
            own: None,
        })
    }

    /// Sets the strategy of the user's own, if the configuration names one: [`Federation::resume`](super::Federation::resume) refuses a set-up in which it
    /// is missing.
    #[must_use]
    pub fn with_own_strategy(self, own: Option<Arc<dyn OwnStrategy>>) -> Self {
        Self { own: own.map(Own), ..self }
    }

    /// Checks that a strategy of the user's own is there if the configuration names one.
    pub(super) fn check_own(&self) -> Result<(), SetupError> {
        if self.config.strategy.is_python() && self.own.is_none() {
            return Err(SetupError::OwnStrategy { strategy: self.config.strategy.name().to_owned() });
        }
        Ok(())
    }

    /// Sets the clients of each round, from round 1, for a selection that reads them from a file.
    ///
    /// [`Federation::resume`](super::Federation::resume) refuses a set-up in which they are missing, or aren't possible.
    #[must_use]
    pub fn with_cohorts(self, cohorts: Vec<Vec<ClientId>>) -> Self {
        Self { cohorts, ..self }
    }

    /// Returns what the selection of `round` among the `eligible` clients goes by.
    pub(super) fn selecting<'a>(
        &'a self,
        round: Round,
        server: &'a ServerState,
        eligible: &'a [ClientId],
        losses: &'a BTreeMap<ClientId, f64>,
        state: &ModelState,
    ) -> Selecting<'a> {
        let profile = self.fleet.as_deref().map(|fleet| Profile {
            fleet,
            clients: &self.eligible,
            work: work::usual(&self.config),
            bytes: (model_bytes(state), self.update_bytes(state)),
        });
        let usual = Selecting::new(&self.config.selection, (self.seed, round), eligible, self.num_selected(), &self.samples, server);
        Selecting { given: self.given(round), losses, profile, ..usual }
    }

    /// Sets the clients' devices, links and availability, for a run whose time is simulated.
    #[must_use]
    pub fn with_fleet(self, fleet: Fleet) -> Self {
        Self { fleet: Some(Arc::new(fleet)), ..self }
    }

    /// Returns the time at which a model is complete whose updates are there at `now`.
    pub(super) fn ready_after(&self, now: Timestamp) -> Timestamp {
        self.fleet.as_ref().map_or(now, |fleet| now.plus(fleet.server()))
    }

    /// Returns the number of clients that have to be there: as many as the selection wants to choose among, at most all that hold samples.
    #[must_use]
    pub fn num_wanted(&self) -> usize {
        if self.config.has_own_data() {
            let least = self.config.min_available.unwrap_or(self.config.clients_per_round);
            return self.num_selected().max(least as usize);
        }
        let wanted = (self.selection.entry.pool)(&self.config.selection, self.config.num_selected());
        usize::try_from(wanted).unwrap_or(usize::MAX).min(self.eligible.len())
    }

    /// Notes that a client with data of its own is there, and says that it has so many samples.
    pub(super) fn came(&mut self, client: ClientId, num_samples: u64) {
        let Some(samples) = self.samples.get_mut(client.0 as usize).filter(|_| self.config.has_own_data()) else { return };
        *samples =
            num_samples.min(self.config.max_samples.unwrap_or(u64::MAX)).min(SAMPLES_MAX / u64::from(self.config.clients.num()).max(1));
        match self.eligible.binary_search(&client) {
            Err(place) if *samples > 0 => self.eligible.insert(place, client),
            Ok(place) if *samples == 0 => drop(self.eligible.remove(place)),
            _ => {}
        }
    }

    /// Notes that a client with data of its own isn't there any more.
    pub(super) fn left(&mut self, client: ClientId) {
        if let (true, Ok(place)) = (self.config.has_own_data(), self.eligible.binary_search(&client)) {
            self.eligible.remove(place);
        }
    }

    /// Returns the clients with data of their own that aren't there, ascending; none if all nodes have all data.
    pub(super) fn away(&self) -> impl Iterator<Item = ClientId> {
        let all = if self.config.has_own_data() { self.config.clients.num() } else { 0 };
        (0..all).map(ClientId).filter(|client| self.eligible.binary_search(client).is_err())
    }

    /// Returns the number of samples of each client.
    #[must_use]
    pub fn samples(&self) -> &[u64] {
        &self.samples
    }

    /// Returns the clients' devices, links and availability, if time is simulated.
    #[must_use]
    pub fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.fleet.as_ref()
    }

    /// Returns the clients with samples that are there at `now`, ascending.
    pub(super) fn eligible_at(&self, now: Timestamp) -> Cow<'_, [ClientId]> {
        match &self.fleet {
            Some(fleet) if !fleet.is_always_there() => {
                let is_there = |client: &ClientId| fleet.presence(*client, now.into()).is_there;
                self.eligible.iter().copied().filter(is_there).collect()
            }
            _ => Cow::Borrowed(&self.eligible),
        }
    }

    /// Returns the clients of `round` that a file gives; none if the selection reads no file.
    pub(super) fn given(&self, round: Round) -> &[ClientId] {
        let place = (round.0 as usize).checked_sub(1);
        place.and_then(|place| self.cohorts.get(place)).map_or(&[], Vec::as_slice)
    }

    /// Checks that a selection that reads a file has the clients of each round: as many different ones as needed, with samples.
    pub(super) fn check_cohorts(&self) -> Result<(), SetupError> {
        if !self.selection.reads_file() {
            return Ok(());
        }
        let needed = self.config.clients_per_round as usize;
        let is_possible = |round: u32| {
            let given = self.given(Round(round));
            let different: BTreeSet<&ClientId> = given.iter().collect();
            [given.len(), different.len()] == [needed; 2] && given.iter().all(|client| self.eligible.binary_search(client).is_ok())
        };
        match (1..=self.config.rounds).find(|&round| !is_possible(round)) {
            Some(round) => Err(SetupError::Cohort { round: Round(round) }),
            None => Ok(()),
        }
    }

    /// Sets the digest of the settings that trainers must have; each order contains it. By default, it is that of trainers without settings of
    /// their own.
    #[must_use]
    pub fn for_settings(self, settings: SettingsDigest) -> Self {
        Self { settings, ..self }
    }

    /// Returns the strategy.
    #[must_use]
    pub fn strategy(&self) -> &'static Spec {
        self.strategy
    }

    /// Returns the number of samples that the server holds itself; `None` if the strategy doesn't have it train.
    #[must_use]
    pub fn root_samples(&self) -> Option<u32> {
        self.strategy.root.map(|num_samples| num_samples(&self.config.strategy))
    }

    /// Returns the number under which the server trains on its own samples, that after the last client's; `None` if it doesn't.
    pub(super) fn root(&self) -> Option<ClientId> {
        self.strategy.root.map(|_| ClientId(self.config.clients.num()))
    }

    /// Returns the number of samples that a client holds, or the server itself.
    pub(super) fn samples_of(&self, client: ClientId) -> u64 {
        match self.samples.get(client.0 as usize) {
            Some(&samples) => samples,
            None => self.root_samples().map_or(0, u64::from),
        }
    }

    /// Returns true if a client that fails costs its update, not the run: under a `participation` block, and under robust rules.
    #[must_use]
    pub fn tolerates_failures(&self) -> bool {
        self.config.participation.is_some() || self.strategy.is_robust()
    }

    /// Returns the smallest number of updates that a round may have.
    pub(super) fn min_updates(&self) -> u32 {
        self.config.min_updates(&self.strategy.entry)
    }

    /// Returns the number of updates after which an asynchronous strategy makes the next model; `None` for others.
    #[must_use]
    pub fn buffer(&self) -> Option<u32> {
        self.strategy.entry.buffer.map(|buffer| buffer(&self.config.strategy))
    }

    /// Returns true if clients keep state between rounds.
    #[must_use]
    pub fn clients_keep_state(&self) -> bool {
        !self.strategy.keeps.is_empty() || self.compression.as_ref().is_some_and(Compression::has_feedback)
    }

    /// Returns true if each client has data of its own, at its own node.
    #[must_use]
    pub fn has_own_data(&self) -> bool {
        self.config.has_own_data()
    }

    /// Returns the compression of updates; `None` if they travel as they are.
    #[must_use]
    pub fn compression(&self) -> Option<&Compression> {
        self.compression.as_ref()
    }

    /// Returns the bytes of the update of a client as it travels: its model, and the arrays that the strategy wants.
    #[must_use]
    pub fn update_bytes(&self, model: &ModelState) -> u64 {
        update_bytes(model, self.strategy, self.compression.as_ref())
    }

    /// Returns the number of clients that are selected for a round.
    #[must_use]
    pub fn num_selected(&self) -> usize {
        usize::try_from(self.config.num_selected()).unwrap_or(usize::MAX)
    }

    /// Returns the malicious clients, ascending.
    pub fn malicious(&self) -> impl Iterator<Item = ClientId> {
        self.faults.malicious()
    }

    /// Returns the time from the beginning of a round after which no answer counts.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let deadline = self.config.participation.and_then(|participation| participation.deadline);
        deadline.map(|deadline| Duration::from_millis(deadline.as_millis()))
    }

    /// Returns the learning rate of `round`.
    #[must_use]
    pub fn learning_rate(&self, round: Round) -> LearningRate {
        self.rates.of_round(round, self.config.epochs())
    }

    /// Returns the terms of `round` for each of its clients, given the strategy's state `server`.
    #[must_use]
    pub fn terms(&self, round: Round, server: &ServerState) -> ClientTerms {
        let mut terms = ClientTerms {
            learning_rate: self.learning_rate(round).value,
            work: work::usual(&self.config),
            proximal_mu: 0.0,
            arrays: Arc::default(),
            extras: self.strategy.extras.iter().map(|extra| extra.name.to_owned()).collect(),
            keeps: self.keeps().map(str::to_owned).collect(),
        };
        (self.strategy.set_terms)(&self.config.strategy, server, &mut terms);
        terms
    }

    /// Returns the names of what clients keep between rounds.
    fn keeps(&self) -> impl Iterator<Item = &'static str> {
        let residual = self.compression.as_ref().is_some_and(Compression::has_feedback).then_some(compression::RESIDUAL);
        self.strategy.keeps.iter().copied().chain(residual)
    }

    /// Returns the terms of `round` for `client`, given the usual ones.
    #[must_use]
    pub(super) fn terms_of(&self, client: ClientId, round: Round, usual: &Arc<ClientTerms>) -> Arc<ClientTerms> {
        if !work::differs(&self.config) {
            return Arc::clone(usual);
        }
        let learning_rate = work::learning_rate(&self.config, &self.groups, client, usual.learning_rate, self.rates.initial);
        Arc::new(ClientTerms {
            work: work::of_client(&self.config, &self.groups, self.seed, client, round),
            learning_rate,
            ..ClientTerms::clone(usual)
        })
    }

    /// Returns true if `round`'s global model is evaluated: the initial one, every `evaluate_every`-th, and the last.
    #[must_use]
    pub fn evaluation_is_due(&self, round: Round) -> bool {
        round.0.is_multiple_of(self.config.evaluate_every) || round.0 == self.config.rounds
    }

    /// Returns true if clients are evaluated on test samples of their own after `round`: with the initial model, every `client_test_every`-th, and
    /// after the last. Without such samples, never.
    #[must_use]
    pub fn client_test_is_due(&self, round: Round) -> bool {
        let every = self.config.client_test_every();
        every.is_some_and(|every| round.0.is_multiple_of(every) || round.0 == self.config.rounds)
    }

    /// Returns true if a checkpoint is taken after `round`: every `checkpoint_every`-th, and the last. The initial model is never saved,
    /// since it can be rebuilt.
    #[must_use]
    pub fn checkpoint_is_due(&self, round: Round) -> bool {
        round.0 > 0 && (round.0.is_multiple_of(self.checkpoint_every) || round.0 == self.config.rounds)
    }
}

fn unknown(kind: &'static str, name: &str) -> SetupError {
    SetupError::Unknown { kind, name: name.to_owned() }
}

/// Checks that an asynchronous strategy has what it needs.
fn check_asynchronous(
    config: &FederatedConfig,
    strategy: &Spec,
    selection: &Selection,
    compression: Option<&Compression>,
    num_eligible: usize,
) -> Result<(), SetupError> {
    let Some(buffer) = strategy.entry.buffer.map(|buffer| buffer(&config.strategy)) else { return Ok(()) };
    let refuse = |problem: String| Err(SetupError::Asynchronous { strategy: strategy.name(), problem });
    let is_concerted = |name: &str| attack::by_name(name).is_some_and(|attack| attack.entry.is_concerted);
    if !selection.entry.is_one_by_one {
        return refuse(format!("the selection `{}` doesn't select single clients", selection.name()));
    }
    if buffer == 0 || buffer as usize > num_eligible {
        return refuse(format!("a model needs {buffer} updates of different clients, and {num_eligible} hold samples"));
    }
    if config.has_own_data() {
        return refuse("clients with data of their own need rounds that begin together".to_owned());
    }
    if compression.is_some_and(Compression::has_feedback) {
        return refuse("what clients keep of their updates is for rounds that begin together".to_owned());
    }
    if config.participation.is_some() {
        return refuse("`participation` is for rounds that begin together".to_owned());
    }
    if config.faults.as_ref().and_then(|faults| faults.attack.as_ref()).is_some_and(|attack| is_concerted(attack.name())) {
        return refuse("malicious clients that know each other's models need rounds that begin together".to_owned());
    }
    Ok(())
}

fn check_participation(config: &FederatedConfig) -> Result<(), SetupError> {
    let Some(participation) = &config.participation else { return Ok(()) };
    if participation.min_updates == 0 {
        return Err(SetupError::Zero { field: "min_updates" });
    }
    if participation.deadline.is_some_and(|deadline| deadline.as_millis() == 0) {
        return Err(SetupError::Zero { field: "deadline" });
    }
    if participation.min_updates > config.clients_per_round {
        return Err(SetupError::MinUpdates { min_updates: participation.min_updates, clients_per_round: config.clients_per_round });
    }
    if !(0.0..=100.0).contains(&participation.over_select) {
        return Err(SetupError::OutOfRange { field: "over_select", value: participation.over_select, range: "from 0 to 100" });
    }
    Ok(())
}

fn draw_faults(config: &FederatedConfig, seed: Seed, eligible: &[ClientId]) -> Result<Faults, SetupError> {
    let Some(faults) = &config.faults else { return Ok(Faults::default()) };
    if !(0.0..1.0).contains(&faults.drop_out) {
        return Err(SetupError::OutOfRange { field: "drop_out", value: faults.drop_out, range: "at least 0 and below 1" });
    }
    if let Some(crash) = &faults.crash {
        if crash.first_round == 0 || crash.last_round == Some(0) {
            return Err(SetupError::Zero { field: if crash.first_round == 0 { "first_round" } else { "last_round" } });
        }
        if !(crash.fraction > 0.0 && crash.fraction <= 1.0) {
            return Err(SetupError::OutOfRange { field: "fraction", value: crash.fraction, range: "above 0 and at most 1" });
        }
    }
    let attack = match &faults.attack {
        Some(attack) => Some(attack::by_name(attack.name()).ok_or_else(|| unknown("attack", attack.name()))?),
        None => None,
    };
    Ok(Faults::draw(faults, attack, config.rounds, seed, eligible))
}

#[cfg(test)]
mod tests {
    use fltk_core::{
        catalogue::Choice,
        experiment::{Duration, FaultsConfig, ParticipationConfig},
    };

    use super::*;

    const RATES: LearningRates = LearningRates { initial: 0.1, scheduler: None };

    fn config() -> FederatedConfig {
        FederatedConfig { evaluate_every: 3, ..FederatedConfig::new(4, 3, 7) }
    }

    #[test]
    fn impossible_settings_are_refused() {
        let check = |change: &dyn Fn(&mut FederatedConfig, &mut Vec<u64>, &mut u32), expected: &str| {
            let (mut config, mut samples, mut checkpoint_every) = (config(), vec![5, 0, 7, 1], 2);
            change(&mut config, &mut samples, &mut checkpoint_every);
            let found =
                Setup::new(config, RATES, Seed(1), samples, checkpoint_every).map_or_else(|error| error.to_string(), |_| "fine".to_owned());
            assert_eq!(found, expected);
        };
        check(&|_, _, _| (), "fine");
        check(&|config, _, _| config.clients = 0.into(), "`clients` is 0; hint: it has to be at least 1");
        check(&|config, _, _| config.clients_per_round = 0, "`clients_per_round` is 0; hint: it has to be at least 1");
        check(&|config, _, _| config.rounds = 0, "`rounds` is 0; hint: it has to be at least 1");
        check(&|config, _, _| config.evaluate_every = 0, "`evaluate_every` is 0; hint: it has to be at least 1");
        check(&|_, _, every| *every = 0, "`checkpoint_every` is 0; hint: it has to be at least 1");
        check(&|config, _, _| config.strategy = Choice::new("FedAverage"), "there is no strategy `FedAverage`");
        check(&|config, _, _| config.selection = Choice::new("lottery"), "there is no selection `lottery`");
        check(&|_, samples, _| samples.push(1), "there are 4 clients, but the partition has 5 parts");
        check(
            &|config, _, _| config.selection = Choice::new("tifl").with("tiers", 2),
            "the selection can't choose among the clients that hold samples: 3 clients make 2 tiers of 1 or more, and a round selects 3 of one tier; \
             hint: raise `clients`, or select fewer for a round",
        );
        check(
            &|config, _, _| config.clients_per_round = 4,
            "4 clients are needed for a round, but only 3 of 4 hold samples; hint: lower `clients_per_round` or use a less uneven partition",
        );
        let participation = |min_updates, millis, over_select| {
            Some(ParticipationConfig { min_updates, deadline: Some(Duration::from_millis(millis)), over_select })
        };
        let faults = |drop_out, attack: Option<&str>| {
            Some(FaultsConfig { drop_out, crash: None, attack: attack.map(|name| Choice::new(name).with("fraction", 0.5)) })
        };
        check(&|config, _, _| config.participation = participation(3, 1, 0.0), "fine");
        check(
            &|config, _, _| config.participation = participation(4, 1, 0.0),
            "a round needs 4 updates, and at most 3 count; hint: lower `min_updates`",
        );
        check(&|config, _, _| config.participation = participation(0, 1, 0.0), "`min_updates` is 0; hint: it has to be at least 1");
        check(&|config, _, _| config.participation = participation(1, 0, 0.0), "`deadline` is 0; hint: it has to be at least 1");
        check(
            &|config, _, _| config.participation = participation(1, 1, f64::NAN),
            "`over_select` is NaN; hint: it has to be from 0 to 100",
        );
        // Three and another one: of four clients one holds no samples.
        check(
            &|config, _, _| config.participation = participation(1, 1, 0.1),
            "4 clients are needed for a round, but only 3 of 4 hold samples; hint: lower `clients_per_round` or use a less uneven partition",
        );
        check(&|config, _, _| config.faults = faults(0.5, Some("scale")), "fine");
        check(&|config, _, _| config.faults = faults(1.0, None), "`drop_out` is 1; hint: it has to be at least 0 and below 1");
        check(&|config, _, _| config.faults = faults(0.0, Some("bribery")), "there is no attack `bribery`");
        check(&|_, samples, _| samples[0] = u64::MAX, "the clients hold more than 9007199254740992 samples");
        check(&|_, samples, _| samples[0] = SAMPLES_MAX, "the clients hold more than 9007199254740992 samples");
    }

    #[test]
    fn evaluations_and_checkpoints_are_periodic_and_include_the_last_round() {
        let setup = Setup::new(config(), RATES, Seed(1), vec![1; 4], 2).expect("it is possible");
        let due = |is_due: &dyn Fn(Round) -> bool| (0..=7).filter(|&round| is_due(Round(round))).collect::<Vec<_>>();
        assert_eq!(due(&|round| setup.evaluation_is_due(round)), [0, 3, 6, 7]);
        assert_eq!(due(&|round| setup.checkpoint_is_due(round)), [2, 4, 6, 7]);
    }
}
