//! A node: joins a federator, loads what its job needs, and trains its clients until the run is over.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use fltk::{
    exit::{Exit, OrExit as _, failure},
    output::counted,
    pace::Unit,
    split::{alone, imposed_links, train_and_test},
    work::Work,
};
use fltk_core::{
    experiment::{FederatedConfig, Setting},
    ids::Round,
    metrics::Evaluation,
    model_state::ModelState,
};
use fltk_data::{BatchPlan, digest::training_digest, partition::root_samples};
use fltk_experiment::SourceFile;
use fltk_fed::{
    BoxError,
    client::ClientStates,
    compression::Compression,
    simulation::{Fleet, update_bytes},
    strategy,
    transport::worker::Order,
};
use fltk_network::node::{
    Access, Address, Call, Carried, Evaluate, ImposeLinks, Introduction, Job as NodeJob, NodeError, Prepared, Proxy, Trainers, Transfers,
};
use fltk_train::{evaluate_plan, losses};

use super::{
    Context, Stopped,
    client_states::NodeStates,
    federated::{SettingsFailures, Training},
    host::host,
    job::{Job, jobs},
    settings,
};

/// The federator of a node, and its own part.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The address of the federator.
    pub address: Address,
    /// The proof that it may take part.
    pub access: Access,
    /// The file in which it keeps credentials that an invitation brings.
    pub keep: Option<PathBuf>,
    /// The name of the node, for people.
    pub name: String,
    /// The client whose data it has, and where.
    pub own: Option<OwnData>,
    /// The time for which it calls a federator that doesn't answer.
    pub patience: Duration,
    /// The proxy through which it calls.
    pub proxy: Proxy,
    /// The place of the data set on this machine, if it isn't the cache.
    pub dataset_path: Option<String>,
}

/// The data of a client that is at its node.
#[derive(Clone, Debug)]
pub struct OwnData {
    /// The name of the client.
    pub client: String,
    /// The folder of its data set.
    pub data: PathBuf,
    /// The folder in which it keeps its state; `None` for one in the user's cache folder.
    pub state: Option<PathBuf>,
}

/// Takes part until the run is over, and returns how it ended, for people.
///
/// # Errors
/// If the federator can't be reached or refuses this node, data is missing, or the process was asked to stop ([`Stopped`]).
pub fn node(context: &Context<'_>, options: NodeOptions) -> anyhow::Result<String> {
    let NodeOptions { address, access, keep, name, own, patience, proxy, dataset_path } = options;
    let stop = || context.stop.load(Ordering::Relaxed);
    let introduction = Introduction {
        name,
        client: own.as_ref().map(|own| own.client.clone()),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        processor: host().cpu,
        patience,
        proxy,
    };
    let mut enrolled = |text: &str| {
        let kept = keep.as_ref().map_or(Ok(()), |path| crate::cmd::node::keep(path, text));
        if let Err(error) = kept {
            tracing::warn!("{error:#}: if this node is started again, it needs another invitation");
        }
    };
    let is_here = matches!(address, Address::Unix(_));
    let call = Call::join(address, introduction, &access, &mut enrolled, &stop).map_err(explained)?;
    // The files of the job are for this process alone, and go with it.
    let folder = tempfile::tempdir().context("can't make a temporary folder")?;
    check_net(call.job())?;
    let mut job = job(call.job(), folder.path())?;
    job.task.dataset.path = match &own {
        Some(own) => {
            let data = std::path::absolute(&own.data).context("can't find the folder of the data")?;
            Some(data.display().to_string())
        }
        // The federator is on this machine, and says where the data is.
        None if is_here && job.task.dataset.is_own() => job.task.dataset.path,
        None => dataset_path,
    };
    let Setting::Federated(config) = &job.task.setting else {
        return Err(failure(Exit::Run, "the federator's job isn't federated"));
    };
    take_part(context, call, &job, config, own.as_ref(), folder.path())
}

/// Checks that the net is one that this program trains.
fn check_net(received: &NodeJob) -> anyhow::Result<()> {
    if received.is_python {
        let message = "the net of this run is a module in Python\nhint: `python -m fltk.node --join ...` takes part, with the same address and invitation";
        return Err(failure(Exit::Experiment, message));
    }
    Ok(())
}

/// Writes the files of the job below `base`, and reads its experiment.
fn job(received: &NodeJob, base: &Path) -> anyhow::Result<Job> {
    for (path, bytes) in &received.files {
        // A federator names its files itself, one beside the other.
        if !path.strip_prefix("files/").is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(failure(Exit::Run, format!("the federator sent a file for `{path}`, where it may not be")));
        }
        let path = base.join(path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, bytes))
            .context("can't write the files of the job")?;
    }
    let source = SourceFile { name: "the federator's experiment".to_owned(), text: received.experiment.clone() };
    // The federator has printed the warnings.
    let parsed =
        fltk_experiment::parse(&[source], &[], fltk::catalogues()).map_err(|report| failure(Exit::Experiment, report.render(false)))?;
    jobs(&parsed.experiment)?.into_iter().next().context("an experiment without jobs")
}

fn take_part(
    context: &Context<'_>,
    call: Call,
    job: &Job,
    config: &FederatedConfig,
    own_data: Option<&OwnData>,
    base: &Path,
) -> anyhow::Result<String> {
    fltk_train::init(1);
    let dataset = &Arc::new(fltk_data::load(&job.task.dataset, base, context.locations).or_exit(Exit::Data)?);
    let data = if config.has_own_data() { [0; 32] } else { training_digest(dataset) };
    let own = settings::of_trainer(job, data, base)?;
    let own_client = own_data.and_then(|own| config.clients.by_name(&own.client));
    let parts = &match own_client {
        Some(client) => alone(client, config, dataset),
        None => train_and_test(dataset, config, job.seed, base)?.train,
    };
    let strategy = strategy::by_name(config.strategy.name()).context("a strategy that isn't in the catalogue")?;
    let root = strategy.root.map(|root| root_samples(parts, root(&config.strategy), job.seed)).unwrap_or_default();
    let (device, stop, termination, failures) = (context.device, &*context.stop, context.termination, &SettingsFailures::default());
    let (method, root) = (strategy.client, &root[..]);
    let work = &Work::begin("training for the federator", Unit::Named("client"), None);
    let work = Some(work);
    let training = Training { job, config, dataset, base, device, own, method, parts, root, stop, termination, failures, work };
    let model = training.new_model()?;
    let layout = Arc::clone(&model.state()?.layout);
    // Modules with dropout share libtorch's single random generator.
    let workers = if model.draws_from_libtorch() { 1 } else { u32::try_from(context.workers.get()).unwrap_or(u32::MAX) };
    let carried = Carried::default();
    let at_node = match own_data {
        Some(own) => Some(NodeStates::open(own, &call.job().run, job.task.checkpoint_every)?),
        None => None,
    };
    let states: &dyn ClientStates = at_node.as_ref().map_or(&carried, |states| states);
    // Which names it keeps is in each order.
    let make = |_worker: usize| training.trainer(Some(states));
    let fleet = imposed_links(config, job.seed, job.task.train.batch_size, base)?;
    let compression = Compression::of(config).map_err(|name| anyhow!("there is no compression `{name}`"))?;
    let bytes_up = |model: &ModelState| update_bytes(model, strategy, compression.as_ref());
    let impose = |order: &Order| fleet.as_ref().map_or_else(Transfers::default, |fleet| transfers(fleet, config, &bytes_up, order));
    let links = if fleet.is_some() { Some(&impose as &ImposeLinks<'_>) } else { None };
    let evaluating = own_client.map(|_| Mutex::new(model));
    let loss = losses::find(&job.task.loss)?;
    let evaluate = |_: Round, state: &ModelState| -> Result<Evaluation, BoxError> {
        // A model that another thread left half-done gets all of its numbers anew.
        let evaluating = evaluating.as_ref().ok_or("this node has no data of a client")?;
        let mut model = evaluating.lock().unwrap_or_else(PoisonError::into_inner);
        model.set_state(state)?;
        let plan = BatchPlan::test(dataset, model.image_input(), job.task.train.test_batch_size as usize)?;
        Ok(evaluate_plan(&model, plan, loss, context.workers.get())?)
    };
    let evaluate = own_client.map(|_| &evaluate as &Evaluate<'_>);
    let trainers =
        Trainers { make: &make, states: &carried, is_of_settings: &|round, client| failures.has(round, client), evaluate, links };
    let stop = || context.stop.load(Ordering::Relaxed);
    let num_samples = own_client.map_or(0, |_| dataset.train.len() as u64);
    let own_samples = own_client.map_or_else(String::new, |_| format!(" and {} samples of its own", dataset.train.len()));
    tracing::info!("this node takes part in `{}`, with {}{own_samples}", call.job().run, counted(workers as usize, "worker"));
    call.work(&Prepared { settings: own, data, num_samples, layout, workers }, &trainers, &stop).map_err(explained)
}

/// Returns the times of an order and its answer, of `bytes_up` of the order's model, on the client's link.
fn transfers(fleet: &Fleet, config: &FederatedConfig, bytes_up: &dyn Fn(&ModelState) -> u64, order: &Order) -> Transfers {
    // The numbers of samples decide how long training takes, which nobody imposes.
    let (client, work) = match order {
        Order::Train(order) => (order.client, fleet.training(order, 0, bytes_up(&order.state))),
        Order::Measure(order) => (order.client, fleet.measurement(order, 0)),
    };
    // The server's own training is nowhere else.
    if client.0 >= config.clients.num() {
        return Transfers::default();
    }
    let times = fleet.transfers(client, work);
    Transfers { down: times.down.into(), up: times.up.into() }
}

/// The error of a node, with its exit code.
pub fn explained(error: NodeError) -> anyhow::Error {
    match error {
        NodeError::Stopped => Stopped.into(),
        NodeError::NoAnswer { .. } => failure(Exit::Ranks, format!("{error}\nhint: start `fltk federate` there, or check the address")),
        NodeError::Refused(_) | NodeError::OtherRun(_) | NodeError::Malformed(_) | NodeError::Worker { .. } | NodeError::Here(_) => {
            failure(Exit::Run, error.to_string())
        }
    }
}
