//! A federated task: connects the round state machine, the trainers, here or at nodes, and the records.

mod clients;
mod local_nodes;
mod network;
mod own_strategy;
mod partition;
mod python;

use std::{
    cell::RefCell,
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use fltk::{
    exit::{Exit, failure},
    split::{fleet, given_cohorts, train_and_test},
};
use fltk_core::{
    event::RunEvent, experiment::FederatedConfig, ids::Round, model_state::ModelState, schedule::LearningRates, server_state::ServerState,
};
use fltk_data::{ClientSamples, Dataset, Division, Origin, digest::training_digest, partition::root_samples};
use fltk_fed::{
    BoxError,
    client::ClientStates,
    drive::RunError,
    round::{Failure, Federation, Record, Setup},
    strategy::OwnFailure,
    transport::in_process,
};
use fltk_network::federator::AtNodesOnly;
use fltk_train::{
    Model,
    checkpoint::{self, Position},
    losses,
    nets::InputShape,
    parameters_sha256,
};

use self::network::{Network, NodeEvents, Rounds};
pub use self::{
    clients::{SettingsFailures, Training},
    network::{Listen, Security},
};
use super::{
    Context, SettingsAtFault, Stopped,
    client_states::FileStates,
    evaluations::{ClientTests, Evaluations},
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
    let is_python = job.task.network.python().is_some();
    let has_nodes = config.nodes > 0 || context.listen.is_some() || is_python;
    if config.imposed_links().is_some() && !has_nodes {
        let message =
            "`simulation.impose_links`: nodes impose links, and this run has none\nhint: add `nodes`, use `fltk federate`, or leave it out";
        return Err(failure(Exit::Experiment, message));
    }
    fltk_train::init(1);
    if has_nodes {
        // Here nobody trains: models come, are added up and go.
        fltk_train::share_one_heap();
    }
    let has_own_data = config.has_own_data();
    check_data_is_here(config, context.listen.is_some())?;
    // The samples are hashed while this thread prepares the run. Those of clients that keep them can't be.
    let hashed = Arc::clone(dataset);
    let hashing = thread::spawn(move || if has_own_data { [0; 32] } else { training_digest(&hashed) });
    let mut model = match is_python {
        true => None,
        false => Some(Model::new(&job.task.network, context.base, InputShape::of(dataset), job.seed, context.device)?),
    };
    let remembered = resumed.map_or_else(|| Ok(ServerState::default()), |resumed| checkpoint::remembered(&resumed.checkpoint.files))?;
    let completed = match (resumed, &mut model) {
        (Some(resumed), Some(model)) => checkpoint::restore(&resumed.checkpoint.files, model, None)?.completed,
        _ => python::completed(resumed)?.0,
    };
    let ClientSamples { train: parts, test: test_parts } = train_and_test(dataset, config, job.seed, context.base)?;
    let cohorts = given_cohorts(config, &parts, context.base)?;
    if !has_own_data {
        warn_of_idle_clients(job, &parts);
        partition::record(recorder.folder(), dataset, &parts)?;
    }
    let num_samples = parts.sizes().map(|size| size as u64).collect();
    // Whoever waits for it to be loaded gives up if the run is asked to stop.
    let given_up = |error| if context.stop.load(Ordering::Relaxed) { Stopped.into() } else { error };
    let own_strategy = own_strategy::start(config, job.seed, context.base, Arc::clone(&context.stop)).map_err(given_up)?;
    let setup = Setup::new(config.clone(), LearningRates::of(&job.task.train), job.seed, num_samples, job.task.checkpoint_every)?;
    let data = hashing.join().unwrap_or_else(|panic| resume_unwind(panic));
    let own = settings::of_trainer(job, data, context.base)?;
    let setup = setup.for_settings(own).with_cohorts(cohorts).with_own_strategy(own_strategy);
    let setup = match fleet(config, job.seed, job.task.train.batch_size, context.base)? {
        Some(fleet) => setup.with_fleet(fleet),
        None => setup,
    };
    if is_python {
        python::check_strategy(&setup)?;
    }
    let is_virtual = setup.fleet().is_some();
    let method = setup.strategy().client;
    let root = setup.root_samples().map(|num_samples| root_samples(&parts, num_samples, job.seed)).unwrap_or_default();
    let states = if setup.clients_keep_state() && !has_own_data {
        Some(FileStates::open(recorder.folder(), Round(completed), &remembered)?)
    } else {
        None
    };
    let attendance = recorder.history().attendance().clone();
    let resume = |setup: Setup, state: ModelState| -> anyhow::Result<Federation> {
        let federation = Federation::resume(setup, Round(completed), Arc::new(state), remembered.clone())?;
        // On a virtual clock, who counts follows from the settings, but for clients that fail for reasons of this machine: these try again.
        // Nor can a round be repeated whose clients aren't there.
        Ok(if is_virtual || has_own_data { federation } else { federation.repeating(attendance.clone()) })
    };
    let failures = SettingsFailures::default();
    let states_of_clients = states.as_ref().map(|states| states as &dyn ClientStates);
    let loss = losses::find(&job.task.loss)?;
    let evaluations = |model: Model| Evaluations {
        model,
        dataset,
        loss,
        test_batch_size: job.task.train.test_batch_size as usize,
        workers: context.workers.get(),
        seed: job.seed,
        config,
        clients: ClientTests { method, parts: &test_parts, states: states_of_clients },
        stop: &context.stop,
    };
    let described = recorder.folder().description().clone();
    let events = NodeEvents::default();
    let failed_of_settings = AtomicBool::new(false);
    let refused = RefCell::new(None);
    let shared = RefCell::new(&mut *recorder);
    let mut observer = |record: &Record| {
        let recorder = &mut **shared.borrow_mut();
        record_nodes(&events, recorder)?;
        // Nodes have reports of their own, which nobody reads.
        if matches!(record, Record::ClientTrained(_)) {
            context.termination.stepped();
        }
        observe(record, job, recorder, states.as_ref()).map_err(BoxError::from)
    };
    let mut begin = |initial: ModelState, by: &str| -> Result<Federation, BoxError> {
        let recorder = &mut **shared.borrow_mut();
        record_nodes(&events, recorder)?;
        let begun = python::begin(initial, by, resumed, recorder).and_then(|state| resume(setup.clone(), state));
        begun.map_err(|error| {
            let text = error.to_string();
            // Its exit code comes along.
            *refused.borrow_mut() = Some(error);
            text.into()
        })
    };
    let network = {
        let (described, failures, states, events, parts) = (&described, &failures, states_of_clients, &events, &parts);
        Network { context, job, config, described, settings: own, data, dataset, parts, states, failures, events }
    };
    let outcome = match model {
        None => {
            let rounds = AtNodesOnly { setup: &setup, seed: job.seed, begin: &mut begin, failed_of_settings: &failed_of_settings };
            network.run(Rounds::AtNodes(rounds), &mut observer)?
        }
        Some(model) => {
            let federation = resume(setup.clone(), model.state()?)?;
            let test = evaluations(model);
            if dataset.provenance.origin == Origin::Clients {
                tracing::warn!(
                    "data set `{}` isn't on this machine: clients evaluate the model on their own test sets\nhint: `fltk data fetch {}` before the run has it evaluated here",
                    job.task.dataset.name(),
                    job.task.dataset.name()
                );
                network.run(Rounds::TestedByClients(Box::new(federation)), &mut observer)?
            } else if has_nodes {
                network.run(Rounds::Here(Box::new(federation), Box::new(test)), &mut observer)?
            } else {
                // In parallel, modules that use libtorch's single random generator would disturb each other.
                let workers = if test.model.draws_from_libtorch() { NonZeroUsize::MIN } else { context.workers };
                let (base, device, stop, termination) = (context.base, context.device, &*context.stop, context.termination);
                let (parts, root, failures) = (&parts, &root[..], &failures);
                let training = Training { job, config, dataset, base, device, own, method, parts, root, stop, termination, failures };
                let make_trainer = |_worker: usize| training.trainer(states_of_clients);
                in_process::run(federation, workers, &make_trainer, Box::new(test), &context.stop, &mut observer)
            }
        }
    };
    record_nodes(&events, recorder)?;
    if let Some(error) = refused.into_inner() {
        return Err(error);
    }
    match outcome {
        Ok(state) => Ok(parameters_sha256(&state)),
        Err(RunError::Stopped { .. }) => Err(Stopped.into()),
        // Whoever waited for the strategy gave up.
        Err(RunError::Failed(Failure::Strategy { .. })) if context.stop.load(Ordering::Relaxed) => Err(Stopped.into()),
        Err(error @ RunError::Failed(Failure::Strategy { reason: OwnFailure::Code(_), .. })) => Err(SettingsAtFault(error.into()).into()),
        Err(RunError::Failed(failure)) if failures.explain(&failure) => Err(SettingsAtFault(RunError::Failed(failure).into()).into()),
        Err(error @ RunError::Initial { is_of_settings: true, .. }) => Err(SettingsAtFault(error.into()).into()),
        Err(error) if failed_of_settings.load(Ordering::Relaxed) => Err(SettingsAtFault(error.into()).into()),
        Err(error) => Err(error.into()),
    }
}

/// Checks that the clients' data is in this process, unless nodes may call.
///
/// # Errors
/// If each client has data of its own.
pub fn check_data_is_here(config: &FederatedConfig, may_call: bool) -> anyhow::Result<()> {
    if config.has_own_data() && !may_call {
        let message = "the clients have data of their own (`data: here`), and it isn't in this process\nhint: `fltk federate` waits for the nodes that have it";
        return Err(failure(Exit::Experiment, message));
    }
    Ok(())
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

/// Records what happened to nodes since the last time.
fn record_nodes(events: &NodeEvents, recorder: &mut Recorder) -> anyhow::Result<()> {
    events.take().into_iter().try_for_each(|event| recorder.record(event))
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

/// Returns the first line of a client's reason, or its beginning: a journal isn't a place for pages of text.
fn in_one_line(reason: &str) -> String {
    const CHARS_MAX: usize = 500;
    reason.lines().next().unwrap_or_default().chars().take(CHARS_MAX).collect()
}
