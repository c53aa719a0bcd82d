//! Real training by strategies that keep state on the server, at clients, in files, or both: killed at any step, the run ends with the same
//! bits.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    fs,
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use fltk_core::{
    catalogue::Choice,
    client_test::{ClientEvaluation, ClientFigures},
    experiment::{DatasetConfig, FederatedConfig, NetworkConfig, TrainConfig},
    metrics::Evaluation,
    model_state::ModelState,
    schedule::LearningRates,
    seed::Seed,
};
use fltk_data::{Dataset, Locations, load};
use fltk_fed::{
    client::{ClientTrainer, Evaluator, with_state},
    round::{ClientUpdate, Federation, Record, Setup, TrainOrder},
    strategy::Spec,
    transport::in_process,
};
use fltk_records::{
    checkpoint::{CheckpointStore, KEPT},
    history::Unit,
};
use fltk_train::{
    Device, LocalClient, LocalTrainer, Model,
    checkpoint::{self, Position},
    losses,
    nets::InputShape,
    parameters_sha256,
};

use super::*;

const SEED: Seed = Seed(7);
const NUM_CLIENTS: u32 = 6;
/// The size of the net's last layer: weight and bias.
const HEAD_LEN: usize = 84 * 10 + 10;

fn mini() -> Arc<Dataset> {
    let config = DatasetConfig::named("fashion-mnist-mini");
    Arc::new(load(&config, Path::new(""), &Locations { cache: None, local: vec![] }).unwrap())
}

fn train_config() -> TrainConfig {
    let optimizer = Choice::new("SGD").with("learning_rate", 0.05).with("momentum", 0.9);
    TrainConfig { batch_size: 16, test_batch_size: 64, drop_last: false, optimizer, scheduler: None }
}

fn new_model(dataset: &Dataset) -> Model {
    fltk_train::init(1);
    Model::new(&NetworkConfig::named("LeNet5"), Path::new(""), InputShape::of(dataset), SEED, Device::Cpu).unwrap()
}

/// Trains clients as the strategy has it.
struct Clients<'a> {
    trainer: LocalTrainer,
    strategy: &'static Spec,
    settings: &'a Choice,
    states: &'a FileStates,
    stop: AtomicBool,
}

impl ClientTrainer for Clients<'_> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        with_state(Some(self.states), None, order, |kept| {
            let first = order.client.0 * 32;
            let samples: Vec<u32> = (first..first + 32).collect();
            let (seed, client, round, flips_labels) = (order.seed, order.client, order.round, order.flips_labels);
            let client = LocalClient { samples: &samples, seed, client, round, flips_labels, stop: &self.stop };
            self.strategy.client.carry_out(self.settings, order, kept, &mut |pass| Ok(self.trainer.train(&client, pass)?))
        })
    }
}

/// Finds every global model equally good, and that of a client as good as it keeps much: only states are of interest.
struct Indifferent<'a> {
    states: &'a FileStates,
}

impl Evaluator for Indifferent<'_> {
    fn evaluate(&mut self, _: Round, _: &ModelState) -> Result<Evaluation, BoxError> {
        Ok(Evaluation { num_samples: 1, loss: 1.0, accuracy: 0.5, confusion: None })
    }

    fn evaluate_clients(&mut self, _: Round, _: &ModelState, server: &ServerState) -> Result<Vec<ClientEvaluation>, BoxError> {
        let of_client = |client| {
            let kept = server.last_round(client).map(|round| self.states.load(client, round)).transpose()?.unwrap_or_default();
            let loss = kept.arrays.values().flatten().map(|value| f64::from(value.abs())).sum();
            Ok(ClientEvaluation { client, num_samples: 1, loss, accuracy: 1.0 / (1.0 + loss) })
        };
        (0..NUM_CLIENTS).map(ClientId).map(of_client).collect()
    }
}

/// The records of clients' tests, as a journal has it in the end.
type Tests = BTreeMap<(Round, ClientId), ClientFigures>;

/// A process that is killed after so many steps of recording.
struct Killed {
    steps_left: usize,
}

impl Killed {
    fn step(&mut self) -> Result<(), BoxError> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or("killed")?;
        Ok(())
    }
}

struct Place<'a> {
    folder: &'a Path,
    dataset: &'a Arc<Dataset>,
    settings: &'a Choice,
}

impl Place<'_> {
    fn states(&self, round: Round, server: &ServerState) -> anyhow::Result<FileStates> {
        let store = ClientStateStore::open(self.folder.join("client-state"), round).unwrap();
        FileStates::new(store, "ab/0".to_owned(), round, server)
    }

    fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(self.folder.join("checkpoints"), Unit::Round)
    }

    /// Runs from the newest checkpoint to the end, or until it is killed; returns the digest of the final model. What is recorded of clients' tests after
    /// that checkpoint is void, and has to be the same again.
    fn run(&self, killed: &mut Killed, tests: &mut Tests) -> Result<String, String> {
        let config = FederatedConfig {
            strategy: self.settings.clone(),
            evaluate_every: 4,
            client_test_fraction: Some(0.2),
            client_test_every: Some(1),
            ..FederatedConfig::new(NUM_CLIENTS, 2, 6)
        };
        let (mut model, mut from, mut server) = (new_model(self.dataset), Round(0), ServerState::default());
        if let Some(newest) = self.checkpoints().latest(|_| true).unwrap().checkpoint {
            from = Round(checkpoint::restore(&newest.files, &mut model, None).unwrap().completed);
            server = checkpoint::remembered(&newest.files).unwrap();
        }
        let states = self.states(from, &server).map_err(|error| error.to_string())?;
        let rates = LearningRates::of(&train_config());
        let setup = Setup::new(config, rates, SEED, vec![32; NUM_CLIENTS as usize], 2).unwrap();
        let strategy = setup.strategy();
        let federation = Federation::resume(setup, from, Arc::new(model.state().unwrap()), server).unwrap();
        let make = |_: usize| -> Result<Box<dyn ClientTrainer + '_>, BoxError> {
            let loss = losses::find("CrossEntropyLoss")?;
            let trainer = LocalTrainer::new(new_model(self.dataset), Arc::clone(self.dataset), train_config(), loss);
            let (settings, states) = (self.settings, &states);
            Ok(Box::new(Clients { trainer, strategy, settings, states, stop: AtomicBool::new(false) }))
        };
        let void = std::mem::take(tests);
        *tests = void.iter().filter(|((round, _), _)| from > Round(0) && *round <= from).map(|(of, test)| (*of, *test)).collect();
        let mut observer = |record: &Record| {
            killed.step()?;
            if let Record::ClientTested(tested) = record {
                let of = (tested.round, tested.client);
                assert!(void.get(&of).is_none_or(|earlier| *earlier == tested.figures), "{of:?}");
                tests.insert(of, tested.figures);
            }
            let Record::Checkpoint { round, state, server, learning_rate } = record else { return Ok(()) };
            states.sync(*round)?;
            killed.step()?;
            let position = Position { completed: round.0, seed: SEED, learning_rate: *learning_rate, part: None };
            let checkpoints = self.checkpoints();
            checkpoints.save(round.0.into(), &checkpoint::save_federated(state, server, &position)?)?;
            killed.step()?;
            let oldest = checkpoints.prune(KEPT, |_| true)?.ok_or("one was just saved")?;
            killed.step()?;
            Ok(states.checkpointed(*round, server, Round(oldest.completed))?)
        };
        let workers = NonZeroUsize::new(2).unwrap();
        in_process::run(federation, workers, &make, Box::new(Indifferent { states: &states }), &AtomicBool::new(false), &mut observer)
            .map(|state| parameters_sha256(&state))
            .map_err(|error| error.to_string())
    }

    /// The paths and contents of all states.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        // Without states, there is no folder.
        let Ok(clients) = fs::read_dir(self.folder.join("client-state")) else { return files };
        for client in clients {
            for file in fs::read_dir(client.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                files.insert(path.strip_prefix(self.folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
        files
    }
}

/// Runs with these settings, undisturbed and killed at each step of recording.
fn check(settings: &Choice, num_states: Range<usize>) {
    const PLENTY: usize = 1000;
    let dataset = &mini();
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = Place { folder: folder.path(), dataset, settings };
    let mut counted = Killed { steps_left: PLENTY };
    let mut expected_tests = Tests::new();
    let expected = undisturbed.run(&mut counted, &mut expected_tests).unwrap();
    assert_eq!(expected_tests.len(), 7 * NUM_CLIENTS as usize);
    let states = undisturbed.files();
    assert!(num_states.contains(&states.len()), "of 12 states, those that no checkpoint needs are removed: {:?}", states.keys());

    for steps_left in 0..PLENTY - counted.steps_left {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path(), dataset, settings };
        let mut tests = Tests::new();
        assert!(place.run(&mut Killed { steps_left }, &mut tests).unwrap_err().contains("killed"));
        let resumed = place.run(&mut Killed { steps_left: PLENTY }, &mut tests).unwrap();
        assert_eq!((resumed, &tests), (expected.clone(), &expected_tests), "{settings:?} killed after {steps_left} steps");
        // If it was killed while it removed states, some more are left.
        let found = place.files();
        assert!(states.iter().all(|(path, bytes)| found.get(path) == Some(bytes)), "{settings:?} killed after {steps_left} steps");
    }
}

#[test]
fn killed_at_any_step_a_run_with_state_on_the_server_ends_with_the_same_bits() {
    check(&Choice::new("FedAdam").with("learning_rate", 0.01), 0..1);
}

#[test]
fn killed_at_any_step_a_run_with_control_variates_ends_with_the_same_bits_and_states() {
    check(&Choice::new("SCAFFOLD"), 4..12);
}

#[test]
fn killed_at_any_step_a_run_with_contrasts_ends_with_the_same_bits_and_states() {
    check(&Choice::new("MOON"), 4..12);
}

#[test]
fn killed_at_any_step_a_run_with_personal_models_ends_with_the_same_bits_and_states() {
    check(&Choice::new("Ditto"), 4..12);
}

#[test]
fn damaged_foreign_and_missing_states_are_errors_that_name_the_file() {
    let (dataset, settings) = (mini(), Choice::new("FedPer"));
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder: folder.path(), dataset: &dataset, settings: &settings };
    // Each of these processes is killed after the next checkpoint, which takes 22 steps, or 29 with the records of round 0; and before the one after
    // that, which takes 22 more. Up to 8 clients of later rounds may be recorded meanwhile.
    while place.checkpoints().list().unwrap().len() < 2 {
        assert!(place.run(&mut Killed { steps_left: 40 }, &mut Tests::new()).unwrap_err().contains("killed"));
    }
    let newest = place.checkpoints().latest(|_| true).unwrap().checkpoint.unwrap();
    let server = checkpoint::remembered(&newest.files).unwrap();
    let of: Vec<(ClientId, Round)> = (0..).map(ClientId).zip(server.last_rounds.iter().copied()).filter(|(_, last)| last.0 > 0).collect();
    let states = place.states(Round(newest.at.completed), &server).unwrap();
    let path = |at: usize| states.store.path(of[at].0, of[at].1);
    let load = |at: usize| states.load(of[at].0, of[at].1).map_err(|error| error.to_string());
    let (first, second) = (fs::read(path(0)).unwrap(), fs::read(path(1)).unwrap());
    assert_eq!(load(0).unwrap().arrays["personal"].len(), HEAD_LEN);

    let mut damaged = first.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (content, words) in [(&damaged, "its SHA-256 differs"), (&second, "it is the state of client"), (&first[..9].to_vec(), "damaged")] {
        fs::write(path(0), content).unwrap();
        let error = load(0).unwrap_err();
        assert!(error.contains(words) && error.contains(path(0).to_str().unwrap()), "{error}");
    }
    fs::remove_file(path(0)).unwrap();
    for error in [load(0).unwrap_err(), place.run(&mut Killed { steps_left: 1000 }, &mut Tests::new()).unwrap_err()] {
        assert!(error.contains(path(0).to_str().unwrap()), "{error}");
    }
    fs::write(path(0), &first).unwrap();
    place.run(&mut Killed { steps_left: 1000 }, &mut Tests::new()).unwrap();
}
