//! A stream in a cluster: the jobs to run, the messages that a user got, and orchestrator processes that start and stop.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fake_kubernetes::Scenario;
use fltk_catalogue::catalogues;
use fltk_core::arrivals::read_trace;
use fltk_experiment::{SourceFile, parse};
use fltk_kubernetes::{
    Edge, End, Observer,
    config::KubernetesConfig,
    manifest::{Credentials, RunContext, job_name},
    metrics::Metrics,
    view::View,
};
use fltk_plan::{
    Event, JobId, JobSpec, Orchestrator, Stream, StreamEvent, jobs,
    plan::{JobRecord, Outcome},
};
use fltk_records::{StreamDescription, StreamFolder, StreamTexts};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

pub const NAMESPACE: &str = "default";
/// The interval of the cluster's own work.
pub const TICK: Duration = Duration::from_millis(100);
/// The limit on the time of a stream, by the tests' clock. No stream of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(3600);

/// Returns a task whose jobs have `ranks` pods; `more` is added to it.
pub fn task(name: &str, ranks: u32, more: &str) -> String {
    let net = "network: FashionMNISTCNN, dataset: fashion-mnist";
    format!("{{ name: {name}, kind: distributed, {net}, distributed: {{ epochs: 1, data_parallelism: {ranks} }}, {more} }}")
}

/// Returns a federated task whose jobs have a federator and so many `nodes`; `more` is added to it.
pub fn federated(name: &str, nodes: u32, more: &str) -> String {
    let net = "network: FashionMNISTCNN, dataset: fashion-mnist";
    format!(
        "{{ name: {name}, kind: federated, {net}, federated: {{ clients: 4, clients_per_round: 2, rounds: 2, nodes: {nodes} }}, {more} }}"
    )
}

/// The settings of a batch whose jobs run in parallel.
pub const PARALLEL: &str = "parallel: true";

/// A stream to run, and the cluster to run it in.
pub struct Cluster {
    pub scenario: Scenario,
    pub context: Arc<RunContext>,
    pub metrics: Arc<Metrics>,
    pub is_ready: Arc<AtomicBool>,
    /// True if nodes and operators do nothing.
    pub is_still: Cell<bool>,
    stream: Stream,
    folder: StreamFolder,
    _root: TempDir,
    began: Timestamp,
    start: Instant,
}

impl Cluster {
    /// A cluster with `tasks` in a stream with the settings `stream`, and the `kubernetes` block `kubernetes`.
    pub fn new(tasks: &[String], stream: &str, kubernetes: &str) -> Self {
        Self::with_trace(tasks, stream, kubernetes, "")
    }

    /// The same with the arrivals of `trace`, one `time,class,priority` per line.
    pub fn with_trace(tasks: &[String], stream: &str, kubernetes: &str, trace: &str) -> Self {
        Self::of(&[1], tasks, stream, kubernetes, trace)
    }

    /// A stream with one replication for each of `seeds`.
    pub fn with_seeds(seeds: &[u64], tasks: &[String], stream: &str) -> Self {
        Self::of(seeds, tasks, stream, "", "")
    }

    fn of(seeds: &[u64], tasks: &[String], stream: &str, kubernetes: &str, trace: &str) -> Self {
        let file = |text: String| SourceFile { name: "test".to_owned(), text };
        let tasks = tasks.iter().map(|task| format!("  - {task}\n")).collect::<String>();
        let text = format!("name: edge\nseeds: {seeds:?}\ntasks:\n{tasks}stream: {{ namespace: {NAMESPACE}, image: fltk, {stream} }}\n");
        let experiment = parse(&[file(text)], &[], catalogues()).unwrap_or_else(|report| panic!("{}", report.render(false))).experiment;
        let config = KubernetesConfig::parse(&file(format!("kubernetes: {{ {kubernetes} }}")));
        let (config, _) = config.unwrap_or_else(|report| panic!("{}", report.render(false)));
        let trace = if trace.is_empty() { Vec::new() } else { read_trace("trace", &format!("time,class,priority\n{trace}")).unwrap() };
        let stream = Stream { experiment, trace, run: "edge-1".parse().unwrap() };
        Self::begin(Scenario::new(), stream, config)
    }

    /// The same stream started again with another folder, in the same cluster.
    pub fn begun_elsewhere(&self) -> Self {
        Self::begin(self.scenario.clone(), self.stream.clone(), self.context.config.clone())
    }

    fn begin(scenario: Scenario, stream: Stream, config: KubernetesConfig) -> Self {
        let (began, start, run) = (scenario.now(), Instant::now(), stream.run.clone());
        // Journals are synced several thousand times here, so they are kept in memory where the machine has such a folder.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let description =
            StreamDescription { fltk_version: "0".to_owned(), run: run.clone(), experiment: "edge".parse().unwrap(), started_at: began };
        let folder = StreamFolder::create::<StreamEvent>(root.path(), &description, &StreamTexts::default()).unwrap();
        let context = RunContext {
            run: run.to_string(),
            namespace: NAMESPACE.to_owned(),
            image: "fltk".to_owned(),
            config,
            experiment: stream.experiment.clone(),
            catalogues: catalogues(),
            modules: BTreeMap::new(),
            issue,
        };
        Self {
            scenario,
            context: Arc::new(context),
            metrics: Arc::new(Metrics::new()),
            is_ready: Arc::default(),
            is_still: Cell::new(false),
            stream,
            folder,
            _root: root,
            began,
            start,
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.began + SignedDuration::try_from(self.start.elapsed()).unwrap()
    }

    /// The jobs of the first replication in order of arrival.
    pub fn specs(&self) -> Vec<JobSpec> {
        self.specs_of(0)
    }

    /// The jobs of replication `replication`.
    pub fn specs_of(&self, replication: usize) -> Vec<JobSpec> {
        let specs = jobs(&self.stream.experiment, &self.stream.run, replication, &self.stream.trace).unwrap();
        specs.into_iter().map(|spec| self.context.with_requests(spec)).collect()
    }

    /// The name of the object of job `name`, which is the job's class, plus its position in the class if it isn't the first.
    pub fn object(&self, name: &str) -> String {
        let specs = self.specs();
        let named = names(specs.iter().map(|spec| (&spec.id, spec.class.as_str()))).into_iter().find(|(_, other)| other == name);
        job_name(&named.unwrap_or_else(|| panic!("there is a job {name}")).0)
    }

    /// Runs the stream to its end in one process, concurrently with `script`.
    pub async fn run(&self, script: impl AsyncFnOnce(&Told)) -> Told {
        let told = Told::default();
        let script = async {
            script(&told).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            end = self.process(self.scenario.client(), &told, std::future::pending()) => assert_eq!(end, End::Finished),
            () = script => unreachable!("it never ends"),
        }
        told
    }

    /// Runs a process that is killed when `kill` completes, unless the stream ends first.
    pub async fn process(&self, client: Client, told: &Told, kill: impl Future<Output = ()>) -> End {
        let (journal, replay) = self.folder.journal::<StreamEvent>().unwrap();
        let context = Arc::clone(&self.context);
        let adapt = move |spec| context.with_requests(spec);
        let mut orchestrator = Orchestrator::new(self.stream.clone(), adapt, Some(journal), &replay.entries).unwrap();
        let (began, start) = (self.began, self.start);
        let edge = Edge {
            client,
            context: Arc::clone(&self.context),
            metrics: Arc::clone(&self.metrics),
            is_ready: Arc::clone(&self.is_ready),
            began,
            clock: Arc::new(move || began + SignedDuration::try_from(start.elapsed()).unwrap()),
        };
        let mut observer = told.clone();
        let end = tokio::select! {
            biased;
            end = timeout(LIMIT, edge.run(&mut orchestrator, &mut observer, kill)) => end,
            () = self.tick_on() => unreachable!("it never ends"),
        };
        let end = end.unwrap_or_else(|_| panic!("it isn't over: {:#?}\n{:#?}", told.words(), told.states())).unwrap();
        told.stands(&orchestrator);
        end
    }

    /// Runs the cluster forever.
    pub async fn tick_on(&self) {
        loop {
            sleep(TICK).await;
            if !self.is_still.get() {
                self.scenario.tick(1);
            }
        }
    }

    /// The time when the stream started.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Failed jobs to retry, according to the journal.
    pub fn to_retry(&self, all: bool) -> Vec<JobId> {
        let (_, replay) = self.folder.journal::<StreamEvent>().unwrap();
        Orchestrator::new(self.stream.clone(), |spec| spec, None, &replay.entries).unwrap().to_retry(all)
    }

    /// Records in the journal that `jobs` are retried.
    pub fn retry(&self, jobs: &[JobId]) {
        let (journal, replay) = self.folder.journal::<StreamEvent>().unwrap();
        let mut orchestrator = Orchestrator::new(self.stream.clone(), |spec| spec, Some(journal), &replay.entries).unwrap();
        let events = jobs.iter().map(|job| Event::Retried { job: job.clone() }).collect();
        orchestrator.take(orchestrator.now(), events, self.now()).unwrap();
    }

    /// The number of events in the journal.
    pub fn num_records(&self) -> usize {
        fs::read_to_string(self.journal_path()).unwrap().lines().count()
    }

    /// Cuts the journal to its first `num` records, as a power cut during an append leaves it.
    pub fn cut_journal(&self, num: usize) {
        let text = fs::read_to_string(self.journal_path()).unwrap();
        let kept: String = text.split_inclusive('\n').take(num).collect();
        fs::write(self.journal_path(), kept).unwrap();
    }

    fn journal_path(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    /// The number of objects created, according to the answers to creation requests.
    pub fn num_made(&self, plural: &str) -> usize {
        let path = format!("/namespaces/{NAMESPACE}/{plural}");
        let calls = self.scenario.requests();
        calls.iter().filter(|call| call.method == "POST" && call.path.ends_with(&path) && call.code == Some(201)).count()
    }

    /// Asserts that each job was created exactly once.
    pub fn assert_made_once(&self, plural: &str) {
        let mut made = self.scenario.creates(plural);
        made.sort();
        let mut expected: Vec<String> = self.specs().iter().map(|spec| job_name(&spec.id)).collect();
        expected.sort();
        assert_eq!(made, expected);
    }
}

/// Issues credentials, which are new each time.
fn issue() -> Result<Credentials, String> {
    static NUM_ISSUED: AtomicU32 = AtomicU32::new(0);
    let number = NUM_ISSUED.fetch_add(1, Ordering::Relaxed);
    Ok(Credentials { federator: format!("of federator {number}"), node: format!("of nodes {number}") })
}

/// Pairs each job with its name.
fn names<'a>(jobs: impl Iterator<Item = (&'a JobId, &'a str)>) -> Vec<(JobId, String)> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let name = |(id, class): (&JobId, &'a str)| {
        let count = counts.entry(class).or_default();
        *count += 1;
        (id.clone(), if *count == 1 { class.to_owned() } else { format!("{class}-{count}") })
    };
    jobs.map(name).collect()
}

/// The messages that a user got. Clones share the same state.
#[derive(Clone, Default)]
pub struct Told(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    records: BTreeMap<String, JobRecord>,
    states: BTreeMap<String, &'static str>,
    /// The reasons each job waited for, each listed once.
    waits: BTreeMap<String, Vec<String>>,
    troubles: Vec<String>,
    stuck: Vec<String>,
}

impl Told {
    pub fn record(&self, name: &str) -> JobRecord {
        self.0.borrow().records[name].clone()
    }

    pub fn states(&self) -> BTreeMap<String, &'static str> {
        self.0.borrow().states.clone()
    }

    /// Returns the outcome of each job.
    pub fn outcomes(&self) -> BTreeMap<String, Option<Outcome>> {
        self.0.borrow().records.iter().map(|(name, record)| (name.clone(), record.outcome)).collect()
    }

    pub fn assert_all_succeeded(&self) {
        let outcomes = self.outcomes();
        assert!(!outcomes.is_empty() && outcomes.values().all(|outcome| *outcome == Some(Outcome::Succeeded)), "{outcomes:?}");
    }

    /// Returns the reasons job `name` waited for, in order.
    pub fn waits(&self, name: &str) -> Vec<String> {
        self.0.borrow().waits.get(name).cloned().unwrap_or_default()
    }

    pub fn troubles(&self) -> Vec<String> {
        self.0.borrow().troubles.clone()
    }

    /// Returns the jobs that didn't run for long, with the reason.
    pub fn stuck(&self) -> Vec<String> {
        self.0.borrow().stuck.clone()
    }

    fn words(&self) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
        (self.0.borrow().waits.clone(), self.troubles())
    }

    /// Waits until job `name` is `state`.
    pub async fn until(&self, name: &str, state: &str) {
        self.until_any(&format!("{name} is {state}"), || self.0.borrow().states.get(name) == Some(&state)).await;
    }

    /// Waits until job `name` is reported as waiting with a reason that contains `words`.
    pub async fn until_waits(&self, name: &str, words: &str) {
        self.until_any(words, || self.waits(name).iter().any(|said| said.contains(words))).await;
    }

    async fn until_any(&self, what: &str, is: impl Fn() -> bool) {
        let start = Instant::now();
        while !is() {
            assert!(start.elapsed() < LIMIT, "never: {what}; {:#?}", self.words());
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn stands(&self, orchestrator: &Orchestrator<'_>) {
        let mut inner = self.0.borrow_mut();
        let all: Vec<_> = orchestrator.all_jobs().collect();
        for (job, (_, name)) in all.iter().zip(names(all.iter().map(|job| (&job.spec.id, job.spec.class.as_str())))) {
            inner.states.insert(name.clone(), job.state_name());
            inner.records.insert(name, job.record.clone());
        }
    }
}

impl Observer for Told {
    fn changed(&mut self, orchestrator: &Orchestrator<'_>, view: &View) {
        self.stands(orchestrator);
        let mut inner = self.0.borrow_mut();
        let all: Vec<_> = orchestrator.all_jobs().collect();
        for (job, (id, name)) in all.iter().zip(names(all.iter().map(|job| (&job.spec.id, job.spec.class.as_str())))) {
            let of_view = || job.state.is_active().then(|| view.waits(&id, job.spec.num_pods(), Instant::now())).flatten();
            let words = orchestrator.explain(&id, orchestrator.now()).map(|wait| wait.to_string()).or_else(|| Some(of_view()?.to_string()));
            let said = inner.waits.entry(name).or_default();
            if let Some(words) = words.filter(|words| !said.contains(words)) {
                said.push(words);
            }
        }
    }

    fn trouble(&mut self, text: &str) {
        self.0.borrow_mut().troubles.push(text.to_owned());
    }

    fn stuck(&mut self, job: &JobId, why: &dyn std::fmt::Display) {
        self.0.borrow_mut().stuck.push(format!("{job}: {why}"));
    }
}
