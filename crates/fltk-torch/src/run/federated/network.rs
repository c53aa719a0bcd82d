//! A federated task over nodes: what they get, and what is told of them.

use std::{
    cell::RefCell,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fltk::output::counted;
use fltk_core::{
    catalogue::Choice,
    event::RunEvent,
    experiment::{Experiment, FederatedConfig, NetworkConfig, Setting, Task},
    model_state::ModelState,
};
use fltk_data::{Dataset, Division};
use fltk_fed::{
    client::{ClientStates, Evaluator},
    drive::{Observer, RunError},
    round::{Federation, SettingsDigest},
};
use fltk_network::{
    federator::{self, AtNodesOnly, Federator, Limits, Listener, NodeReport},
    hub::Lost,
    object::Content,
    pki::{Credentials, Folder},
    tls,
};
use fltk_records::RunDescription;
use tempfile::TempDir;

use super::{
    SettingsFailures,
    local_nodes::{LocalNodes, PythonNodes},
    python::{self, interpreter},
};
use crate::run::{Context, Stopped, host::host, job::Job};

/// The name of the socket in its folder.
const SOCKET: &str = "federator";

/// The place at which nodes of other processes and machines call.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The socket, which listens already.
    pub listener: Arc<TcpListener>,
    /// The nodes that may call.
    pub security: Security,
    /// The time of silence after which a node is lost.
    pub silence: Duration,
    /// The command that listens in the same way, without `fltk`: with other options, nodes wouldn't find the federator that goes on.
    pub command: String,
}

/// The nodes that may call.
#[derive(Clone, Debug)]
pub enum Security {
    /// Any process of this machine.
    Insecure,
    /// Nodes with a certificate of the authority of these credentials, which are the federator's.
    Issued(Box<Credentials>),
    /// Nodes with a certificate of an authority in a folder, or an invitation.
    Tls {
        /// The folder of the authority; `None` for one that is made for the run.
        folder: Option<PathBuf>,
        /// The host that nodes call, if it isn't this machine's name.
        host: Option<String>,
        /// The number of invitations to make; `None` for one if the authority is new, and none otherwise.
        num_invited: Option<u32>,
    },
}

/// The rounds that a federator runs.
pub enum Rounds<'a> {
    /// Those of a net that is in this process, too.
    Here(Box<Federation>, Box<dyn Evaluator + 'a>),
    /// Those whose clients evaluate, since there is no test set here.
    TestedByClients(Box<Federation>),
    /// Those of a net that only nodes compute with.
    AtNodes(AtNodesOnly<'a>),
}

impl Rounds<'_> {
    fn run(
        self,
        federator: Federator<'_>,
        samples_max: Option<u64>,
        stop: &AtomicBool,
        observer: &mut Observer<'_>,
    ) -> Result<Arc<ModelState>, RunError> {
        match self {
            Self::Here(federation, evaluator) => federator.run(*federation, evaluator, stop, observer),
            Self::TestedByClients(federation) => federator.run_tested_by_clients(*federation, samples_max, stop, observer),
            Self::AtNodes(federation) => federator.run_at_nodes(federation, stop, observer),
        }
    }
}

/// A federated task whose clients are trained by nodes.
pub struct Network<'a> {
    /// The state that all jobs share.
    pub context: &'a Context<'a>,
    /// The job.
    pub job: &'a Job,
    /// The settings of its task.
    pub config: &'a FederatedConfig,
    /// The description of the run, which names its authority.
    pub described: &'a RunDescription,
    /// The digest of the settings that nodes must have.
    pub settings: SettingsDigest,
    /// The digest of the training samples that nodes must have.
    pub data: [u8; 32],
    /// The data set.
    pub dataset: &'a Dataset,
    /// The samples of each client.
    pub parts: &'a Division,
    /// The states that clients keep.
    pub states: Option<&'a dyn ClientStates>,
    /// The clients that failed because of the settings.
    pub failures: &'a SettingsFailures,
    /// The events of nodes, for the journal.
    pub events: &'a NodeEvents,
}

impl Network<'_> {
    /// Runs the rounds over nodes that call, or over nodes on this machine, which it starts.
    ///
    /// # Errors
    /// If it can't listen, or the nodes can't be started, or end again and again. What ends the rounds is in the result.
    pub fn run(&self, rounds: Rounds<'_>, observer: &mut Observer<'_>) -> anyhow::Result<Result<Arc<ModelState>, RunError>> {
        match &self.context.listen {
            Some(listen) => self.over_callers(listen, rounds, observer),
            None => self.over_own(rounds, observer),
        }
    }

    fn over_callers(
        &self,
        listen: &Listen,
        rounds: Rounds<'_>,
        observer: &mut Observer<'_>,
    ) -> anyhow::Result<Result<Arc<ModelState>, RunError>> {
        let listener = listen.listener.try_clone().context("can't listen")?;
        // With port 0, the system has chosen one.
        let (address, port) = listener.local_addr().map(|address| (address.ip(), address.port())).context("can't listen")?;
        let node = if self.job.task.network.python().is_some() { "python -m fltk.node" } else { "fltk node" };
        let mut own_folder = None;
        let (listener, folder) = match &listen.security {
            Security::Insecure => {
                let of_client = if self.config.has_own_data() { " --client NAME --data DIR" } else { "" };
                tracing::info!("nodes on this machine join with\n  {node} --join http://{}{of_client}", SocketAddr::new(address, port));
                (Listener::Plain(listener), None)
            }
            Security::Issued(credentials) => {
                tracing::info!("nodes join at port {port}");
                (Listener::Tls(listener, tls::federator(credentials, None)?), None)
            }
            Security::Tls { folder, host, num_invited } => {
                let folder_is_own = folder.is_none();
                let path = match folder {
                    Some(path) => path.clone(),
                    None => {
                        let all = fltk::inputs::secrets("pki")
                            .context("there is no home folder for the run's authority\nhint: `--pki DIR` names one")?;
                        all.join(format!("{}-{}", self.described.group, self.described.job_index))
                    }
                };
                let is_new = !path.exists();
                let folder = Folder::open_or_create(&path)?;
                let host = host.clone().or_else(fltk::host::name).unwrap_or_else(|| "localhost".to_owned());
                let mut lines = String::new();
                let clients = self.config.clients.names();
                // Those who were invited before come back by themselves.
                let num_usual = if is_new { clients.len().max(1) } else { 0 };
                for index in 0..num_invited.map_or(num_usual, |num| num as usize) {
                    let of_client = match clients.get(index) {
                        Some(client) => format!(" --client {client} --data DIR"),
                        None if clients.is_empty() => String::new(),
                        None => " --client NAME --data DIR".to_owned(),
                    };
                    lines += &format!(
                        "\n  {node} --join https://{host}:{port} --invitation {}{of_client}",
                        folder.invite(clients.get(index).map(String::as_str))?
                    );
                }
                let told = if lines.is_empty() {
                    format!("nodes with a certificate join at https://{host}:{port}")
                } else {
                    format!("nodes join with{lines}\nhint: each line admits one node")
                };
                let of_client = if self.config.has_own_data() { " --client NAME" } else { "" };
                tracing::info!("{told}; `fltk pki invite {}{of_client}` makes another invitation", path.display());
                if folder_is_own {
                    own_folder = Some(path);
                }
                (Listener::Tls(listener, tls::federator(&folder.federator()?, Some(folder.clone()))?), Some(folder))
            }
        };
        if self.config.has_own_data() {
            let least = u64::from(self.config.min_available.unwrap_or(0)).max(self.config.num_selected());
            tracing::info!("a round begins once {least} of {} clients are there", self.config.clients.num());
        }
        let report = |report: NodeReport| {
            self.events.note(&report);
            tell(&report, &host().cpu);
        };
        let federator = Federator {
            job: self.job()?,
            listener,
            limits: Limits { workers: self.expected_workers(listen), ..Limits::default() }.with_silence(listen.silence),
            folder,
            states: self.states,
            report: &report,
            is_of_settings: &|round, client| self.failures.add(round, client),
            metrics: Arc::clone(&self.context.metrics),
        };
        let outcome = rounds.run(federator, self.config.max_samples, &self.context.stop, observer);
        if let (Ok(_), Some(path)) = (&outcome, own_folder)
            && let Err(error) = std::fs::remove_dir_all(&path)
        {
            tracing::warn!("the run's authority, `{}`, can't be removed: {error}", path.display());
        }
        Ok(outcome)
    }

    /// Returns the number of workers that nodes are expected to have. Those of a job's pods are as many as the federator's, each.
    fn expected_workers(&self, listen: &Listen) -> NonZeroUsize {
        let nodes = match listen.security {
            Security::Issued(_) => NonZeroUsize::new(self.config.nodes as usize).unwrap_or(NonZeroUsize::MIN),
            Security::Insecure | Security::Tls { .. } => NonZeroUsize::MIN,
        };
        self.context.workers.saturating_mul(nodes)
    }

    fn over_own(&self, rounds: Rounds<'_>, observer: &mut Observer<'_>) -> anyhow::Result<Result<Arc<ModelState>, RunError>> {
        let Self { context, job, config, .. } = *self;
        // Nobody else may look into this folder, so nobody else can call.
        let folder = socket_folder().context("can't make a temporary folder")?;
        let path = folder.path().join(SOCKET);
        let listener = UnixListener::bind(&path).with_context(|| format!("can't listen at `{}`", path.display()))?;
        // A net in Python is at nodes even if the file asks for none.
        let num_nodes = num_here((config.nodes as usize).max(1));
        let workers = (context.workers.get() / num_nodes.get()).max(1);
        // With imposed links, workers mostly wait.
        match config.imposed_links() {
            Some(_) => warn_of_few_workers(num_nodes.get() * workers, config.num_selected()),
            None => warn_of_few_cores(num_nodes.get()),
        }
        let halt = AtomicBool::new(false);
        let nodes = LocalNodes::new(context, &path, num_nodes.get(), workers, &halt);
        let arrays = folder.path().join("arrays");
        let nodes = match job.task.network.python() {
            Some(net) => {
                nodes.in_python(PythonNodes { interpreter: interpreter(net.environment.as_deref(), context.base), arrays: arrays.clone() })
            }
            None => nodes,
        };
        let report = |report: NodeReport| {
            if matches!(report, NodeReport::Joined { .. }) {
                nodes.joined();
            }
            self.events.note(&report);
            // Once the process is asked to stop, it ends its nodes itself.
            if !context.stop.load(Ordering::Relaxed) {
                tell(&report, &host().cpu);
            }
        };
        let limits =
            Limits { workers: num_nodes.saturating_mul(NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN)), ..Limits::default() };
        let federator = Federator {
            job: self.job()?,
            listener: Listener::Unix(listener),
            limits,
            folder: None,
            states: self.states,
            report: &report,
            is_of_settings: &|round, client| self.failures.add(round, client),
            metrics: Arc::clone(&self.context.metrics),
        };
        let outcome = nodes.around(|| -> anyhow::Result<_> {
            if job.task.network.python().is_some() {
                // Meanwhile nodes import PyTorch. They are answered, and so look for samples, only after this.
                let written =
                    std::fs::create_dir(&arrays).and_then(|()| fltk_data::arrays::write(&arrays, self.dataset, self.parts, job.seed, None));
                written.context("can't write the samples for nodes in Python")?;
            }
            Ok(rounds.run(federator, self.config.max_samples, &halt, observer))
        });
        match outcome {
            (Err(problem), _) => Err(problem),
            // The nodes are the reason.
            (Ok(Err(RunError::Stopped { .. })), Err(problem)) => Err(problem),
            (Ok(Err(RunError::Stopped { .. })), Ok(())) => Err(Stopped.into()),
            (Ok(outcome), _) => Ok(outcome),
        }
    }

    /// Returns what nodes get: the experiment with this job alone, and the files that it names.
    fn job(&self) -> anyhow::Result<federator::Job> {
        let Self { context, job, .. } = *self;
        let files = RefCell::new(Vec::new());
        let add = |bytes: Vec<u8>| {
            let mut files = files.borrow_mut();
            let carried = format!("files/{}", files.len());
            files.push((carried.clone(), Content::of_bytes(bytes)));
            carried
        };
        let carried = |path: &str| -> anyhow::Result<String> {
            let full = context.base.join(path);
            Ok(add(std::fs::read(&full).with_context(|| format!("can't read `{}`", full.display()))?))
        };
        let mut task = job.task.clone();
        // Nodes on this machine read data of one's own where it is; elsewhere its path is another one, and an experiment has one.
        task.dataset.path = match (&job.task.dataset.path, &context.listen) {
            (Some(path), None) if task.dataset.is_own() => {
                Some(std::path::absolute(context.base.join(path)).context("can't find the data")?.display().to_string())
            }
            _ => task.dataset.is_own().then(|| "data".to_owned()),
        };
        if let NetworkConfig::TorchScript { torchscript } = &mut task.network {
            *torchscript = add(fltk_train::module_bytes(&context.base.join(&*torchscript))?);
        }
        if let NetworkConfig::Python(net) = &mut task.network {
            net.environment = None;
            net.change_files(&carried)?;
        }
        if let Setting::Federated(config) = &mut task.setting
            && config.strategy.is_python()
        {
            // Orders say everything that clients do under a strategy of the user's own, whose code stays here.
            config.strategy = Choice::new("FedAvg");
        }
        let nets = job.task.network.python().zip(task.network.python());
        let python = nets.map(|(net, carried)| python::job(net, carried, &task, job.seed, self.config)).transpose()?;
        let twin = python::twin(&task, job.seed, self.config)?;
        task.change_files(&carried)?;
        let tasks = vec![Task::of_training(job.name.clone(), task)];
        let experiment = Experiment { name: job.name.clone(), seeds: vec![job.seed], tasks, stream: None };
        Ok(federator::Job {
            run: format!("{} ({}-{})", job.title(), self.described.group, self.described.job_index),
            experiment: fltk_experiment::to_yaml(&experiment),
            files: files.into_inner(),
            settings: self.settings,
            data: self.data,
            clients: self.config.clients.names().to_vec(),
            python,
            twin,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            processor: host().cpu,
        })
    }
}

/// Makes a folder for a socket: in that of temporary files, unless its path is too long for a socket, which has 108 bytes at most.
fn socket_folder() -> std::io::Result<TempDir> {
    /// The length of the longest folder, which leaves room for the names of a folder and a socket in it.
    const BYTES_MAX: usize = 80;
    if std::env::temp_dir().as_os_str().len() <= BYTES_MAX { tempfile::tempdir() } else { tempfile::tempdir_in("/tmp") }
}

/// Returns the number of node processes that this machine starts for so many nodes. Each takes memory of its own, and a file that was written for a cluster may have hundreds.
fn num_here(nodes: usize) -> NonZeroUsize {
    /// The most processes of a core, and the most that any machine may have.
    const OF_CORE: usize = 4;
    const ANYWAY: usize = 16;
    let most = ANYWAY.max(OF_CORE * num_cores());
    if nodes > most {
        tracing::warn!("{nodes} nodes are more than this machine starts; {most} do the same work, with the same result");
    }
    NonZeroUsize::new(nodes.min(most)).unwrap_or(NonZeroUsize::MIN)
}

fn num_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn warn_of_few_cores(num_nodes: usize) {
    let cores = num_cores();
    if num_nodes > cores {
        tracing::warn!("{num_nodes} nodes share {cores} cores\nhint: more nodes than cores make nothing faster on one machine");
    }
}

fn warn_of_few_workers(num_workers: usize, num_selected: u64) {
    if (num_workers as u64) < num_selected {
        tracing::warn!(
            "{num_workers} workers, and {num_selected} clients in a round: with `impose_links`, clients wait for each other's transfers\nhint: `--workers {num_selected}`"
        );
    }
}

/// The events of nodes, until the thread that records writes them down.
#[derive(Debug, Default)]
pub struct NodeEvents(Mutex<Vec<(Instant, RunEvent)>>);

impl NodeEvents {
    fn note(&self, report: &NodeReport) {
        let event = match report {
            NodeReport::Joined { node, joined } => RunEvent::NodeJoined {
                node: format!("{node:?}"),
                name: joined.name.clone(),
                processor: joined.processor.clone(),
                workers: joined.workers,
                // Its name is that of its client.
                client: joined.own.map(|_| joined.name.clone()),
                num_samples: joined.own.map(|own| own.num_samples),
                ago_seconds: 0.0,
            },
            NodeReport::Left { node, figures, reason, .. } => RunEvent::NodeLeft {
                node: format!("{node:?}"),
                num_updates: figures.num_updates,
                busy_seconds: figures.busy.as_secs_f64(),
                bytes_sent: figures.bytes_sent,
                bytes_received: figures.bytes_received,
                reason: reason.as_ref().map(ToString::to_string),
                ago_seconds: 0.0,
            },
            NodeReport::TurnedAway { .. } | NodeReport::Refused { .. } => return,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), event));
    }

    /// Removes and returns the events, in order. A federator that waits for clients records nothing for a while.
    pub fn take(&self) -> Vec<RunEvent> {
        let mut events = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (at, event) in &mut events {
            if let RunEvent::NodeJoined { ago_seconds, .. } | RunEvent::NodeLeft { ago_seconds, .. } = event {
                *ago_seconds = at.elapsed().as_secs_f64();
            }
        }
        events.into_iter().map(|(_, event)| event).collect()
    }
}

/// Tells people what happened to a node.
fn tell(report: &NodeReport, processor: &str) {
    match report {
        NodeReport::Joined { joined, .. } => {
            tracing::info!(
                node = joined.name,
                workers = joined.workers,
                "node `{}` takes part, with {}{}",
                joined.name,
                counted(joined.workers as usize, "worker"),
                joined.own.map_or_else(String::new, |own| format!(" and {} samples of its own", own.num_samples))
            );
            if joined.processor != processor {
                tracing::warn!(
                    node = joined.name,
                    "node `{}` has another kind of processor, {}: results may differ in their last bits from those of {processor} alone",
                    joined.name,
                    joined.processor
                );
            }
        }
        NodeReport::Left { joined, reason: Some(reason), .. } => match reason {
            Lost::Replaced => tracing::info!(node = joined.name, "node `{}` is there again", joined.name),
            // The error of the run says it.
            Lost::Interrupted => {}
            reason => {
                let others = if joined.own.is_some() { "its client is away" } else { "its work is done by others" };
                tracing::warn!(node = joined.name, "node `{}` is lost: {reason}; {others}", joined.name);
            }
        },
        NodeReport::Left { .. } => {}
        NodeReport::TurnedAway { name, reason } => tracing::warn!(node = name, "node `{name}` was refused: {reason}"),
        NodeReport::Refused { name, reason } => tracing::info!(node = name, "a message of node `{name}` was refused: {reason}"),
    }
}

/// Returns the address of a socket, as a node takes it.
pub(super) fn address(path: &Path) -> String {
    format!("unix:{}", path.display())
}
