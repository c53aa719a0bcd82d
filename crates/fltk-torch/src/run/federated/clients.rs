//! The trainers of clients, in whatever process they train.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use fltk::{termination::Termination, work::Work};
use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
};
use fltk_data::{Dataset, Division, NoiseLevels};
use fltk_fed::{
    BoxError,
    client::{ClientStates, ClientTrainer, with_state},
    compression::Compression,
    round::{ClientUpdate, Failure, LossOrder, SettingsDigest, TrainOrder},
    strategy::ClientMethod,
};
use fltk_train::{Device, LocalClient, LocalTrainer, Model, losses, nets::InputShape};

use crate::run::{is_of_settings, job::Job};

/// The settings and samples with which the clients of a job are trained.
pub struct Training<'a> {
    /// The job.
    pub job: &'a Job,
    /// The settings of its task.
    pub config: &'a FederatedConfig,
    /// The data set.
    pub dataset: &'a Arc<Dataset>,
    /// The folder to which paths of the job are relative.
    pub base: &'a Path,
    /// The device that computes.
    pub device: Device,
    /// The digest of the settings.
    pub own: SettingsDigest,
    /// The strategy's part at clients.
    pub method: ClientMethod,
    /// The samples of each client.
    pub parts: &'a Division,
    /// The samples of the server, which trains under the number after that of the last client.
    pub root: &'a [u32],
    /// True once the process is asked to stop.
    pub stop: &'a AtomicBool,
    /// The collector of the termination report.
    pub termination: &'a Termination,
    /// The clients that failed because of the settings.
    pub failures: &'a SettingsFailures,
    /// The work that is shown, at a node; a run shows its rounds.
    pub work: Option<&'a Work>,
}

impl<'a> Training<'a> {
    /// Creates the model of the job, with its initial weights.
    ///
    /// # Errors
    /// If the net can't be made for this data set.
    pub fn new_model(&self) -> Result<Model, fltk_train::TrainError> {
        Model::new(&self.job.task.network, self.base, InputShape::of(self.dataset), self.job.seed, self.device)
    }

    /// Creates a trainer for the thread that calls. Clients keep their states in `states`, if they keep some.
    ///
    /// # Errors
    /// If the net or the loss can't be made.
    pub fn trainer<'b>(&'b self, states: Option<&'b dyn ClientStates>) -> Result<Box<dyn ClientTrainer + 'b>, BoxError>
    where
        'a: 'b,
    {
        fltk_train::init(1);
        let task = &self.job.task;
        let trainer = LocalTrainer::new(self.new_model()?, Arc::clone(self.dataset), task.train.clone(), losses::find(&task.loss)?);
        let trainer = trainer.with_noise(NoiseLevels { level: self.config.feature_noise, clients: self.config.clients.num() });
        Ok(Box::new(Clients {
            trainer,
            method: self.method,
            settings: &self.config.strategy,
            own: self.own,
            states,
            compression: Compression::of(self.config).map_err(|name| format!("there is no compression `{name}`"))?,
            parts: self.parts,
            root: self.root,
            stop: self.stop,
            termination: self.termination,
            settings_at_fault: self.failures,
            work: self.work,
        }))
    }
}

/// The clients that failed because of the settings, by round: the errors themselves arrive as text.
#[derive(Debug, Default)]
pub struct SettingsFailures(Mutex<BTreeSet<(Round, ClientId)>>);

impl SettingsFailures {
    /// Notes a client that failed.
    pub fn add(&self, round: Round, client: ClientId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((round, client));
    }

    /// Returns true if this client failed because of the settings.
    pub fn has(&self, round: Round, client: ClientId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(round, client))
    }

    /// Returns true if `failure` follows from the settings alone, and so from every other attempt too.
    pub fn explain(&self, failure: &Failure) -> bool {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Failure::Client { round, client, .. } => failures.contains(&(*round, *client)),
            Failure::TooFewUpdates { round, absences, .. } => {
                let num_explained = failures.range((*round, ClientId(0))..=(*round, ClientId(u32::MAX))).count() as u64;
                absences.iter().all(|(absence, count, _)| match absence {
                    Absence::DroppedOut | Absence::Crashed => true,
                    Absence::Failed | Absence::Unmeasured => u64::from(*count) <= num_explained,
                    Absence::Late | Absence::Surplus | Absence::Away => false,
                })
            }
            // Their clients may have begun in any round before.
            Failure::Unfilled { round, absences, .. } => {
                let clients: BTreeSet<ClientId> = failures.range(..=(*round, ClientId(u32::MAX))).map(|(_, client)| *client).collect();
                absences.iter().all(|(absence, count, _)| match absence {
                    Absence::DroppedOut | Absence::Crashed => true,
                    _ => u64::from(*count) <= clients.len() as u64,
                })
            }
            _ => false,
        }
    }
}

/// Trains the client of each order.
struct Clients<'a> {
    trainer: LocalTrainer,
    /// The strategy's part at clients, and its settings.
    method: ClientMethod,
    settings: &'a Choice,
    /// The digest of the settings that it trains with.
    own: SettingsDigest,
    /// The states that clients keep; `None` if they keep none.
    states: Option<&'a dyn ClientStates>,
    /// The compression of updates.
    compression: Option<Compression>,
    parts: &'a Division,
    /// The samples of the server, which trains under the number after that of the last client.
    root: &'a [u32],
    stop: &'a AtomicBool,
    termination: &'a Termination,
    settings_at_fault: &'a SettingsFailures,
    work: Option<&'a Work>,
}

impl<'a> Clients<'a> {
    fn samples_of(&self, client: ClientId) -> Cow<'a, [u32]> {
        let place = client.0 as usize;
        if place < self.parts.num_clients() { self.parts.of(place) } else { Cow::Borrowed(self.root) }
    }
}

impl ClientTrainer for Clients<'_> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        order.check_settings(self.own)?;
        let samples = self.samples_of(order.client);
        let (seed, client, round, flips_labels) = (order.seed, order.client, order.round, order.flips_labels);
        let client = LocalClient { samples: &samples, seed, client, round, flips_labels, stop: self.stop };
        let trained = with_state(self.states, self.compression.as_ref(), order, |kept| {
            self.method.carry_out(self.settings, order, kept, &mut |pass| {
                let trained = self.trainer.train(&client, pass);
                Ok(trained.inspect_err(|error| {
                    if is_of_settings(error) {
                        self.settings_at_fault.add(order.round, order.client);
                    }
                })?)
            })
        })?;
        self.termination.stepped();
        self.work.iter().for_each(|work| work.add(1));
        Ok(trained)
    }

    fn measure(&mut self, order: &LossOrder) -> Result<f64, BoxError> {
        order.check_settings(self.own)?;
        let samples = self.samples_of(order.client);
        let (seed, client, round) = (order.seed, order.client, order.round);
        let client = LocalClient { samples: &samples, seed, client, round, flips_labels: false, stop: self.stop };
        Ok(self.trainer.loss(&client, &order.state, order.num_samples).inspect_err(|error| {
            if is_of_settings(error) {
                self.settings_at_fault.add(order.round, order.client);
            }
        })?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use fltk_core::{
        client_terms::{ClientTerms, LocalWork},
        experiment::{DatasetConfig, NetworkConfig, TrainConfig},
        seed::Seed,
    };
    use fltk_data::{Locations, load};
    use fltk_train::Device;

    use fltk_fed::round::Timestamp;

    use super::*;

    #[test]
    fn failures_are_blamed_on_the_settings_of_their_own_round_and_client() {
        let failures = SettingsFailures::default();
        failures.add(Round(3), ClientId(5));
        let client = |round, client| Failure::Client { round: Round(round), client: ClientId(client), reason: String::new() };
        assert!(failures.explain(&client(3, 5)));
        assert!(!failures.explain(&client(4, 5)) && !failures.explain(&client(3, 6)), "an earlier one doesn't count");
        let too_few = |round, absences: &[(Absence, u32)]| {
            let absences = absences.iter().map(|(absence, count)| (*absence, *count, None)).collect();
            Failure::TooFewUpdates { round: Round(round), min_updates: 4, at_most: 3, num_selected: 5, absences }
        };
        assert!(failures.explain(&too_few(3, &[(Absence::DroppedOut, 1), (Absence::Failed, 1)])));
        assert!(failures.explain(&too_few(7, &[(Absence::DroppedOut, 2), (Absence::Crashed, 1)])), "as ordered");
        assert!(!failures.explain(&too_few(3, &[(Absence::Failed, 2)])), "one of them for another reason");
        assert!(!failures.explain(&too_few(3, &[(Absence::Failed, 1), (Absence::Late, 1)])), "another attempt may be faster");
    }

    #[test]
    fn an_order_for_other_settings_is_refused_before_anything_is_trained() {
        fltk_train::init(1);
        let config = DatasetConfig::named("fashion-mnist-mini");
        let dataset = Arc::new(load(&config, Path::new(""), &Locations { cache: None, local: vec![] }).unwrap());
        let model = Model::new(&NetworkConfig::named("LeNet5"), Path::new(""), InputShape::of(&dataset), Seed(7), Device::Cpu).unwrap();
        let state = Arc::new(model.state().unwrap());
        let optimizer = Choice::new("SGD").with("learning_rate", 0.05);
        let train = TrainConfig { batch_size: 16, test_batch_size: 64, drop_last: false, optimizer, scheduler: None };
        let own = SettingsDigest([0xab; 32]);
        let mut clients = Clients {
            trainer: LocalTrainer::new(model, dataset, train, losses::find("CrossEntropyLoss").unwrap()),
            method: ClientMethod::PLAIN,
            settings: &Choice::new("FedAvg"),
            own,
            states: None,
            compression: None,
            parts: &vec![(0..32).collect()].into(),
            root: &[],
            stop: &AtomicBool::new(false),
            termination: &Termination::default(),
            settings_at_fault: &SettingsFailures::default(),
            work: None,
        };
        let work = LocalWork::Epochs(1.0);
        let terms = ClientTerms { learning_rate: 0.05, work, proximal_mu: 0.0, arrays: Arc::default(), extras: vec![], keeps: vec![] };
        let (round, client, seed, kept) = (Round(1), ClientId(0), Seed(7), None);
        let mut order = TrainOrder {
            round,
            client,
            seed,
            state,
            terms: Arc::new(terms),
            kept,
            flips_labels: false,
            given: Timestamp::default(),
            settings: SettingsDigest([7; 32]),
        };
        let refused = clients.train(&order).unwrap_err().to_string();
        for words in ["07".repeat(32), "ab".repeat(32), "hint: ".to_owned()] {
            assert!(refused.contains(&words), "{refused}");
        }
        order.settings = own;
        assert_eq!(clients.train(&order).unwrap().train.num_steps, 2);
        // A strategy that keeps state needs a place for it.
        Arc::make_mut(&mut order.terms).keeps.push("control".to_owned());
        assert!(clients.train(&order).unwrap_err().to_string().contains("there is no place for it here"));
    }
}
