//! A federated task in this process: connects the round state machine, the local trainers and the records.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    thread,
};

use fltk::{
    split::{fleet, given_cohorts, train_and_test},
    termination::Termination,
};
use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    event::RunEvent,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    schedule::LearningRates,
    server_state::ServerState,
};
use fltk_data::{ClientSamples, Dataset, Division, NoiseLevels, digest::training_digest, partition::root_samples};
use fltk_fed::{
    BoxError,
    client::{ClientStates, ClientTrainer, with_state},
    drive::RunError,
    round::{ClientUpdate, Failure, Federation, LossOrder, Record, SettingsDigest, Setup, TrainOrder},
    strategy::ClientMethod,
    transport::in_process,
};
use fltk_train::{
    LocalClient, LocalTrainer, Model,
    checkpoint::{self, Position},
    losses,
    nets::InputShape,
    parameters_sha256,
};

use super::{
    Context, SettingsAtFault, Stopped,
    client_states::FileStates,
    evaluations::{ClientTests, Evaluations},
    is_of_settings,
    job::Job,
    recorder::Recorder,
    resumed::Resumed,
    settings,
};

/// Runs the rounds of `job` from `resumed`, which was [checked](Resumed::check), and returns the digest of the final parameters.
///
/// # Errors
/// If a client or an evaluation fails, the records can't be written, or the process was asked to stop ([`Stopped`]).
pub fn run(
    context: &Context<'_>,
    job: &Job,
    config: &FederatedConfig,
    dataset: &Arc<Dataset>,
    resumed: Option<&Resumed>,
    recorder: &mut Recorder,
) -> anyhow::Result<String> {
    fltk_train::init(1);
    // The samples are hashed while this thread prepares the run.
    let hashed = Arc::clone(dataset);
    let hashing = thread::spawn(move || training_digest(&hashed));
    let new_model = || Model::new(&job.task.network, context.base, InputShape::of(dataset), job.seed, context.device);
    let mut model = new_model()?;
    let (completed, remembered) = match resumed {
        Some(resumed) => {
            let position = checkpoint::restore(&resumed.checkpoint.files, &mut model, None)?;
            (position.completed, checkpoint::remembered(&resumed.checkpoint.files)?)
        }
        None => (0, ServerState::default()),
    };
    let ClientSamples { train: parts, test: test_parts } = train_and_test(dataset, config, job.seed, context.base)?;
    let cohorts = given_cohorts(config, &parts, context.base)?;
    warn_of_idle_clients(job, &parts);
    let num_samples = parts.sizes().map(|size| size as u64).collect();
    let setup = Setup::new(config.clone(), LearningRates::of(&job.task.train), job.seed, num_samples, job.task.checkpoint_every)?;
    let own = settings::of_trainer(job, hashing.join().unwrap_or_else(|panic| resume_unwind(panic)), context.base)?;
    let setup = setup.for_settings(own).with_cohorts(cohorts);
    let setup = match fleet(config, job.seed, job.task.train.batch_size, context.base)? {
        Some(fleet) => setup.with_fleet(fleet),
        None => setup,
    };
    let is_virtual = setup.fleet().is_some();
    let method = setup.strategy().client;
    let root = setup.root_samples().map(|num_samples| root_samples(&parts, num_samples, job.seed)).unwrap_or_default();
    let states = if setup.clients_keep_state() { Some(FileStates::open(recorder.folder(), Round(completed), &remembered)?) } else { None };
    let federation = Federation::resume(setup, Round(completed), Arc::new(model.state()?), remembered)?;
    // On a virtual clock, who counts follows from the settings, but for clients that fail for reasons of this machine: these try again.
    let federation = if is_virtual { federation } else { federation.repeating(recorder.history().attendance().clone()) };

    // TorchScript modules use libtorch's single random generator: in parallel they would disturb each other.
    let workers = if model.is_torchscript() { std::num::NonZeroUsize::MIN } else { context.workers };
    let settings_at_fault = SettingsFailures::default();
    let make_trainer = |_worker: usize| -> Result<Box<dyn ClientTrainer + '_>, BoxError> {
        fltk_train::init(1);
        let trainer = LocalTrainer::new(new_model()?, Arc::clone(dataset), job.task.train.clone(), losses::find(&job.task.loss)?);
        let trainer = trainer.with_noise(NoiseLevels { level: config.feature_noise, clients: config.clients });
        let states = states.as_ref().map(|states| states as &dyn ClientStates);
        let (stop, termination) = (&*context.stop, context.termination);
        let settings = &config.strategy;
        Ok(Box::new(Clients {
            trainer,
            method,
            settings,
            own,
            states,
            parts: &parts,
            root: &root,
            stop,
            termination,
            settings_at_fault: &settings_at_fault,
        }))
    };
    let test = Evaluations {
        model,
        dataset,
        loss: losses::find(&job.task.loss)?,
        test_batch_size: job.task.train.test_batch_size as usize,
        workers: context.workers.get(),
        seed: job.seed,
        config,
        clients: ClientTests { method, parts: &test_parts, states: states.as_ref().map(|states| states as &dyn ClientStates) },
        stop: &context.stop,
    };
    let outcome = in_process::run(federation, workers, &make_trainer, Box::new(test), &context.stop, &mut |record| {
        observe(record, job, recorder, states.as_ref()).map_err(Into::into)
    });
    match outcome {
        Ok(state) => Ok(parameters_sha256(&state)),
        Err(RunError::Stopped { .. }) => Err(Stopped.into()),
        Err(RunError::Failed(failure)) if settings_at_fault.explain(&failure) => {
            Err(SettingsAtFault(RunError::Failed(failure).into()).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Warns of clients that train no step, since `drop_last` drops their only batch.
fn warn_of_idle_clients(job: &Job, parts: &Division) {
    let batch_size = job.task.train.batch_size;
    let num_idle = parts.sizes().filter(|size| *size < batch_size as usize).count();
    if job.task.train.drop_last && num_idle > 0 {
        tracing::warn!(
            "{num_idle} of {} clients have fewer samples than a batch of {batch_size} and train no step (`drop_last`)\nhint: use a smaller `batch_size`",
            parts.num_clients()
        );
    }
}

fn observe(record: &Record, job: &Job, recorder: &mut Recorder, states: Option<&FileStates>) -> anyhow::Result<()> {
    match record {
        Record::ClientTrained(client) => recorder.record(client.into()),
        Record::ClientAbsent(absent) => recorder.record(RunEvent::ClientAbsent {
            round: absent.round,
            client: absent.client,
            absence: absent.absence,
            reason: absent.reason.as_deref().map(in_one_line),
        }),
        Record::ClientTested(tested) => {
            recorder.record(RunEvent::ClientTested { round: tested.round, client: tested.client, test: tested.figures })
        }
        Record::RoundEnded(round) => {
            recorder.warn_of_held_rate(round.learning_rate);
            recorder.record(round.into())
        }
        Record::Checkpoint { round, state, server, learning_rate } => {
            let position = Position { completed: round.0, seed: job.seed, learning_rate: *learning_rate, part: None };
            states.map_or(Ok(()), |states| states.sync(*round))?;
            let files = checkpoint::save_federated(state, server, &position)?;
            let oldest = recorder.checkpoint(round.0.into(), &files, parameters_sha256(state))?;
            states.map_or(Ok(()), |states| states.checkpointed(*round, server, Round(oldest.completed)))
        }
        // In one process, a refused answer makes its client fail, unless it is only late.
        Record::Refused { .. } | Record::Finished { .. } => Ok(()),
    }
}

/// The clients that failed because of the settings, by round: the errors themselves arrive as text.
#[derive(Debug, Default)]
struct SettingsFailures(Mutex<BTreeSet<(Round, ClientId)>>);

impl SettingsFailures {
    fn add(&self, round: Round, client: ClientId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((round, client));
    }

    /// Returns true if `failure` follows from the settings alone, and so from every other attempt too.
    fn explain(&self, failure: &Failure) -> bool {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Failure::Client { round, client, .. } => failures.contains(&(*round, *client)),
            Failure::TooFewUpdates { round, absences, .. } => {
                let num_explained = failures.range((*round, ClientId(0))..=(*round, ClientId(u32::MAX))).count() as u64;
                absences.iter().all(|(absence, count, _)| match absence {
                    Absence::DroppedOut | Absence::Crashed => true,
                    Absence::Failed | Absence::Unmeasured => u64::from(*count) <= num_explained,
                    Absence::Late | Absence::Surplus => false,
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

/// Returns the first line of a client's reason, or its beginning: a journal isn't a place for pages of text.
fn in_one_line(reason: &str) -> String {
    const CHARS_MAX: usize = 500;
    reason.lines().next().unwrap_or_default().chars().take(CHARS_MAX).collect()
}

/// Trains the client of each order.
struct Clients<'a> {
    trainer: LocalTrainer,
    /// The strategy's part at clients, and its settings.
    method: ClientMethod,
    settings: &'a Choice,
    /// The digest of the settings that it trains with.
    own: SettingsDigest,
    /// The states that clients keep; `None` if the strategy keeps none.
    states: Option<&'a dyn ClientStates>,
    parts: &'a Division,
    /// The samples of the server, which trains under the number after that of the last client.
    root: &'a [u32],
    stop: &'a AtomicBool,
    termination: &'a Termination,
    settings_at_fault: &'a SettingsFailures,
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
        let trained = with_state(self.states, order, |kept| {
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

    use std::path::Path;

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
            parts: &vec![(0..32).collect()].into(),
            root: &[],
            stop: &AtomicBool::new(false),
            termination: &Termination::default(),
            settings_at_fault: &SettingsFailures::default(),
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
